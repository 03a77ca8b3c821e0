/** What the bodies of waiting messages may take in one process, over all lanes - bytes. */
export class BodyBudget {
  private used = 0;

  constructor(private readonly limitBytes: number) {}

  get usedBytes(): number {
    return this.used;
  }
  get isSpent(): boolean {
    return this.used >= this.limitBytes;
  }
  change(bytes: number): void {
    this.used += bytes;
  }
}
