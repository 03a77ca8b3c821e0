import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { WorkerDirectory, type WorkerList } from './worker-directory.client.js';

@ApiTags('workers')
@Controller('v1/workers')
export class WorkersController {
  constructor(private readonly directory: WorkerDirectory) {}

  @Get()
  @ApiOperation({ summary: 'The workers that live, and which shards are whose' })
  @ApiResponse({
    status: 200,
    description:
      '{workers: [{worker, incarnation, draining, capacity, running, waiting, paused, lanes, waitingBytes, busy, leaked, discarded, ' +
      'version, settingsVersion, agents, startedAt, waitingForAgents?: {agent: sessions}, shards, shardList?}], ' +
      'shards: {total, owned, unowned, held}, settings?: {current, ingress}}; sorted by worker',
  })
  @ApiResponse({ status: 503, description: 'The broker is away; see Retry-After' })
  async list(): Promise<WorkerList> {
    return this.directory.list();
  }
}
