import { readdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { command, commandAtExit, isLeftover, MachineLacksError, nameOfRun, removeAtExit } from './machine.js';

/** The network of one process. */
export interface Network {
  readonly address: string;
  /** What stands before a command that is to run in it. */
  readonly through: readonly string[];
}

interface Port extends Network {
  readonly namespace: string;
  /** Its other end, at the switch. */
  readonly plug: string;
}

/** What a line can be like that is neither whole nor cut. */
export type SlowLine = 'of a worker' | 'of a node';

const FOLDER = '/run/netns';
/** No machine has it: what is sent there is lost without a word, as in a network that is cut. */
const NOWHERE = '02:00:00:00:00:00';
/** Latency with jitter, and loss. */
const NETEM = 'netem delay 60ms 30ms loss 2%';
/** Where the kernel has no netem: a narrow line, whose short queue delays what waits in it and drops what does not fit. */
const NARROW: Readonly<Record<SlowLine, string>> = {
  'of a worker': 'tbf rate 600kbit burst 3kb limit 12kb',
  'of a node': 'tbf rate 4mbit burst 6kb limit 60kb',
};

/**
 * Linux network namespaces around one switch, each with an address of its own. The switch is in a namespace too, so that
 * firewall rules of the machine do not apply between them; the run itself has a plug in it and reaches all of them.
 */
export class Networks implements AsyncDisposable {
  private readonly ports = new Map<string, Port>();
  private readonly remove: () => void;
  private hasNetem = true;

  private constructor(
    private readonly name: string,
    /** The first three numbers. */
    private readonly range: string,
  ) {
    this.remove = removeAtExit(`the networks ${name}`, () => {
      for (const { namespace } of this.ports.values()) commandAtExit(`ip netns del ${namespace}`);
      // The ends of all lines are in the switch and go with it; while a process still holds a namespace its line is dead.
      commandAtExit(`ip link del ${this.ownPlug}`);
      commandAtExit(`ip netns del ${this.switch}`);
    });
  }

  static async make(names: readonly string[]): Promise<Networks> {
    await removeLeftovers();
    const networks = new Networks(nameOfRun(), freeRange());
    try {
      await networks.makeSwitch();
      for (const name of names) await networks.add(name);
      await networks.probe();
      return networks;
    } catch (error) {
      networks.remove();
      throw new MachineLacksError(
        `networks of their own cannot be made for the parts (${messageOf(error)}): it takes Linux, root, and \`ip\` and ` +
          '`tc` of iproute2 and `nsenter`; run it there, or leave the faults of networks out with --no-networks',
      );
    }
  }

  /** Where the run itself can be reached from them. */
  get ownAddress(): string {
    return `${this.range}.1`;
  }

  of(name: string): Network {
    return this.port(name);
  }

  /** What `from` sends to `to` is lost from now on; the other direction stays as it is. */
  async cut(from: string, to: string): Promise<void> {
    await command(`ip -n ${this.port(from).namespace} neigh replace ${this.port(to).address} ${GOES_NOWHERE}`);
  }

  async mend(from: string, to: string): Promise<void> {
    await command(`ip -n ${this.port(from).namespace} neigh del ${this.port(to).address} dev eth0`);
  }

  /** Both directions become slow and lossy, to and from everything. */
  async slowDown(name: string, line: SlowLine): Promise<void> {
    const quality = this.hasNetem ? NETEM : NARROW[line];
    const { namespace, plug } = this.port(name);
    await command(`tc -n ${namespace} qdisc replace dev eth0 root ${quality}`);
    await command(`tc -n ${this.switch} qdisc replace dev ${plug} root ${quality}`);
  }

  async speedUp(name: string): Promise<void> {
    const { namespace, plug } = this.port(name);
    await command(`tc -n ${namespace} qdisc del dev eth0 root`);
    await command(`tc -n ${this.switch} qdisc del dev ${plug} root`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove();
  }

  private get switch(): string {
    return `${this.name}-0`;
  }

  private get ownPlug(): string {
    return `lkc${process.pid}`;
  }

  private port(name: string): Port {
    const port = this.ports.get(name);
    if (port === undefined) throw new Error(`there is no network of ${name}`);
    return port;
  }

  private async makeSwitch(): Promise<void> {
    await command(`ip netns add ${this.switch}`);
    await command(`ip -n ${this.switch} link add switch type bridge`);
    await command(`ip -n ${this.switch} link set switch up`);
    await command(`ip link add ${this.ownPlug} type veth peer name plug1 netns ${this.switch}`);
    await command(`ip -n ${this.switch} link set plug1 master switch up`);
    await command(`ip addr add ${this.ownAddress}/24 dev ${this.ownPlug}`);
    await command(`ip link set ${this.ownPlug} up`);
  }

  private async add(name: string): Promise<void> {
    const n = this.ports.size + 2;
    const [namespace, plug] = [`${this.name}-${n}`, `plug${n}`];
    const address = `${this.range}.${n}`;
    const through = ['nsenter', `--net=${FOLDER}/${namespace}`, '--'];
    this.ports.set(name, { namespace, plug, address, through });
    await command(`ip netns add ${namespace}`);
    await command(`ip link add eth0 netns ${namespace} type veth peer name ${plug} netns ${this.switch}`);
    await command(`ip -n ${this.switch} link set ${plug} master switch up`);
    await command(`ip -n ${namespace} addr add ${address}/24 dev eth0`);
    await command(`ip -n ${namespace} link set eth0 up`);
    await command(`ip -n ${namespace} link set lo up`);
  }

  /** A kernel has netem or not; a narrow line nearly all of them have. */
  private async probe(): Promise<void> {
    const [first] = this.ports.keys();
    if (first === undefined) return;
    try {
      await this.slowDown(first, 'of a node');
    } catch {
      this.hasNetem = false;
      await this.slowDown(first, 'of a node');
    }
    await this.speedUp(first);
  }
}

const GOES_NOWHERE = `lladdr ${NOWHERE} dev eth0 nud permanent`;

/** A kill -9 of a run leaves its namespaces; the lines between them go with them. */
async function removeLeftovers(): Promise<void> {
  const names = await readdir(FOLDER).catch(() => []);
  for (const name of names.filter(isLeftover)) commandAtExit(`ip netns del ${name}`);
}

/** One that no other run has, nor the machine itself. */
function freeRange(): string {
  const taken = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
  for (let n = process.pid; ; n++) {
    const range = `10.${128 + ((n >> 8) % 128)}.${n % 256}`;
    if (!taken.some((address) => address.startsWith(`${range}.`))) return range;
  }
}

function messageOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message?: string };
  return (stderr || message || String(error)).trim().replaceAll('\n', ' ');
}
