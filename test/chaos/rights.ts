import { Disks } from './disks.js';
import { Networks } from './networks.js';

/** Specs of what takes rights are left out where there are none, and say so in the list of tests. */
export async function hasRights(): Promise<boolean> {
  try {
    await using _networks = await Networks.make(['probe']);
    await using _disks = await Disks.make(1, 1);
    return true;
  } catch {
    return false;
  }
}
