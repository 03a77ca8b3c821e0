import { ProblemException } from '#http';

/** A person has to act first. */
const REPAIR_RETRY_AFTER_S = 30;

/** The inbox was set back: what it takes now would never be handled. `problem` names the remedy. */
export function inboxRewound(problem: string, messageId?: string): ProblemException {
  const again = messageId === undefined ? '' : `, then send it again with id ${JSON.stringify(messageId)}`;
  return new ProblemException({
    status: 503,
    code: 'inbox-rewound',
    title: 'Messages cannot be taken before a repair',
    detail: `${problem}${again}.`,
    retryAfterS: REPAIR_RETRY_AFTER_S,
    ...(messageId === undefined ? {} : { extra: { messageId } }),
  });
}
