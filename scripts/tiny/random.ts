/**
 * Seeded random numbers whose whole state is one number, so that a checkpoint can store it: SplitMix32
 * (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014, narrowed to 32 bits).
 */
export class Random {
  /** The whole state, an unsigned 32-bit number. */
  state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  }

  /** Uniform among 0 … `below` − 1. */
  integer(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** A new array in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const a = shuffled[i] as T;
      shuffled[i] = shuffled[j] as T;
      shuffled[j] = a;
    }
    return shuffled;
  }
}
