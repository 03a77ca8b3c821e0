import { DECISIONS, OUTCOMES } from './decisions.js';

/**
 * Whether it is the record of a turn that left nothing open, as nearly all heads are: everything that this accepts the schema
 * accepts too, with the same result. The schema handles all else and says what is wrong; it is slower.
 */
export function isPlainTurn(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  let fields = 0;
  for (const name in value) {
    if (!isPlainField(name, value[name])) return false;
    if (name !== 'state') fields++;
  }
  return fields === FIELDS;
}

/** The fields of every turn, plus an optional state. Each name is checked, so this count means that all are there. */
const FIELDS = 17;

function isPlainField(name: string, field: unknown): boolean {
  switch (name) {
    case 'v':
      return field === 1;
    case 'kind':
      return field === 'turn';
    case 'commitId':
    case 'worker':
    case 'runId':
      return typeof field === 'string';
    case 'upto':
      return isSequence(field);
    case 'attempt':
      return isSequence(field) && field > 0;
    case 'nextSequence':
      return field === null || isSequence(field);
    case 'startedAt':
    case 'endedAt':
      return Number.isFinite(field);
    case 'run':
      return field === null;
    case 'done':
      return Array.isArray(field) && field.length === 0;
    case 'children':
    case 'relayed':
      return isPlainObject(field) && isEmpty(field);
    case 'status':
      return OUTCOMES.includes(field as (typeof OUTCOMES)[number]);
    case 'messages':
      return Array.isArray(field) && field.every(isPlainDecision);
    case 'sends':
      return Array.isArray(field) && field.every(isPlainReply);
    // Any JSON.
    case 'state':
      return true;
    default:
      return false;
  }
}

function isPlainDecision(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  let fields = 0;
  for (const name in value) {
    const field = value[name];
    if (name === 'id') {
      if (typeof field !== 'string') return false;
    } else if (name === 'seq') {
      if (!isSequence(field)) return false;
    } else if (name !== 'decision' || !DECISIONS.includes(field as (typeof DECISIONS)[number])) return false;
    fields++;
  }
  return fields === 3;
}

function isPlainReply(value: unknown): boolean {
  if (!isPlainObject(value) || value['kind'] !== 'reply') return false;
  for (const name in value) {
    if (name === 'text' ? typeof value[name] !== 'string' : name !== 'kind' && name !== 'data') return false;
  }
  return true;
}

function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function isEmpty(value: object): boolean {
  for (const _name in value) return false;
  return true;
}
