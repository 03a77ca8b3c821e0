import { channelMessageBody, sendMessageBody } from '#contracts';
import { documentBody } from '#http';

export const messageBodySchema = documentBody(sendMessageBody);
export const channelBodySchema = documentBody(channelMessageBody);
