import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { workerList, type WorkerList } from '#contracts';
import { documentAnswer } from '#http';
import { WorkerDirectory } from './worker-directory.client.js';

@ApiTags('workers')
@Controller('v1/workers')
export class WorkersController {
  constructor(private readonly directory: WorkerDirectory) {}

  @Get()
  @ApiOperation({ summary: 'The workers that are alive, and the shards of each' })
  @ApiResponse(documentAnswer(200, 'The workers, sorted by name, and how many shards are owned', workerList))
  @ApiResponse({ status: 503, description: 'The broker is away; see Retry-After' })
  async list(): Promise<WorkerList> {
    return this.directory.list();
  }
}
