import { TASK_REQUESTS } from '#contracts';
import { documentBody, type BodySchema } from '#http';

export const acquireSchema = documentBody(TASK_REQUESTS.acquire);
export const renewSchema = documentBody(TASK_REQUESTS.renew);
export const approveSchema = documentBody(TASK_REQUESTS['approve-retry']);
export const releaseSchema = {
  oneOf: [documentBody(TASK_REQUESTS.release), documentBody(TASK_REQUESTS.end)],
} as BodySchema;
