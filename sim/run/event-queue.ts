/**
 * The future: events by the millisecond in which they are due, and a small heap of those that are due now, so that
 * the cost of an event does not grow with the audience. An event is a kind and three integers over typed arrays:
 * millions of pieces cost no closure each. Events of the same time leave in the order in which they came.
 *
 * Source: calendar queues, R. Brown, CACM 31(10):1220-1227, 1988.
 * @module
 */

const START_CAPACITY = 1 << 16;
/** Milliseconds that have a bucket of their own; what is due later waits in the one of its remainder. */
const BUCKETS = 1 << 16;
const NONE = -1;

export class EventQueue {
  /** The event that {@link next} took out. */
  atMs = 0;
  kind = 0;
  a = 0;
  b = 0;
  c = 0;
  #size = 0;
  #peak = 0;
  #sequence = 0;
  readonly #due = new Heap();
  /** The millisecond whose events are in `#due`. */
  #bucket = 0;
  /** First slot of each bucket; the others follow by `#nexts`. */
  readonly #firsts = new Int32Array(BUCKETS).fill(NONE);
  #capacity = START_CAPACITY;
  /** By slot. */
  #times = new Float64Array(START_CAPACITY);
  #orders = new Float64Array(START_CAPACITY);
  #nexts = new Int32Array(START_CAPACITY);
  #kinds = new Uint8Array(START_CAPACITY);
  #as = new Int32Array(START_CAPACITY);
  #bs = new Int32Array(START_CAPACITY);
  #cs = new Int32Array(START_CAPACITY);
  #freeSlot = NONE;
  #slotCount = 0;

  get size(): number {
    return this.#size;
  }

  /** Most events that waited at the same time. */
  get peak(): number {
    return this.#peak;
  }

  /** Events so far. */
  get count(): number {
    return this.#sequence;
  }

  push(atMs: number, kind: number, a = 0, b = 0, c = 0): void {
    const slot = this.#takeSlot();
    this.#times[slot] = atMs;
    this.#kinds[slot] = kind;
    this.#as[slot] = a;
    this.#bs[slot] = b;
    this.#cs[slot] = c;
    const order = this.#sequence++;
    this.#orders[slot] = order;
    if (Math.floor(atMs) <= this.#bucket) this.#due.push(atMs, order, slot);
    else this.#wait(slot);
    if (++this.#size > this.#peak) this.#peak = this.#size;
  }

  /** Takes the earliest event out. @returns `false` if there is none before that time. */
  next(beforeMs = Number.POSITIVE_INFINITY): boolean {
    if (this.#size === 0) return false;
    for (let steps = 0; this.#due.size === 0; steps++) {
      if (this.#bucket + 1 >= beforeMs) return false;
      if (steps < BUCKETS) this.#bucket++;
      else this.#bucket = Math.floor(this.#earliestMs());
      this.#fetchDue();
    }
    if (this.#due.firstMs >= beforeMs) return false;
    const slot = this.#due.pop();
    this.atMs = this.#times[slot] as number;
    this.kind = this.#kinds[slot] as number;
    this.a = this.#as[slot] as number;
    this.b = this.#bs[slot] as number;
    this.c = this.#cs[slot] as number;
    this.#nexts[slot] = this.#freeSlot;
    this.#freeSlot = slot;
    this.#size--;
    return true;
  }

  #wait(slot: number): void {
    const place = Math.floor(this.#times[slot] as number) % BUCKETS;
    this.#nexts[slot] = this.#firsts[place] as number;
    this.#firsts[place] = slot;
  }

  /** Takes what is due out of the bucket; what is due a whole round later stays. */
  #fetchDue(): void {
    const place = this.#bucket % BUCKETS;
    let slot = this.#firsts[place] as number;
    this.#firsts[place] = NONE;
    while (slot !== NONE) {
      const next = this.#nexts[slot] as number;
      const atMs = this.#times[slot] as number;
      if (atMs < this.#bucket + 1) this.#due.push(atMs, this.#orders[slot] as number, slot);
      else this.#wait(slot);
      slot = next;
    }
  }

  /** Of those that wait. **Cost**: all of them; needed only when nothing is due for a minute. */
  #earliestMs(): number {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const first of this.#firsts) {
      for (let slot = first; slot !== NONE; slot = this.#nexts[slot] as number) {
        earliestMs = Math.min(earliestMs, this.#times[slot] as number);
      }
    }
    return earliestMs;
  }

  #takeSlot(): number {
    const slot = this.#freeSlot;
    if (slot !== NONE) {
      this.#freeSlot = this.#nexts[slot] as number;
      return slot;
    }
    if (this.#slotCount === this.#capacity) this.#grow();
    return this.#slotCount++;
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#times = copied(this.#times, new Float64Array(this.#capacity));
    this.#orders = copied(this.#orders, new Float64Array(this.#capacity));
    this.#nexts = copied(this.#nexts, new Int32Array(this.#capacity));
    this.#kinds = copied(this.#kinds, new Uint8Array(this.#capacity));
    this.#as = copied(this.#as, new Int32Array(this.#capacity));
    this.#bs = copied(this.#bs, new Int32Array(this.#capacity));
    this.#cs = copied(this.#cs, new Int32Array(this.#capacity));
  }
}

/** Slots by time, then order. */
class Heap {
  size = 0;
  #times = new Float64Array(1_024);
  #orders = new Float64Array(1_024);
  #slots = new Int32Array(1_024);

  push(atMs: number, order: number, slot: number): void {
    if (this.size === this.#times.length) {
      this.#times = copied(this.#times, new Float64Array(2 * this.size));
      this.#orders = copied(this.#orders, new Float64Array(2 * this.size));
      this.#slots = copied(this.#slots, new Int32Array(2 * this.size));
    }
    let place = this.size++;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#after(parent, atMs, order)) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#put(place, atMs, order, slot);
  }

  /** Time of the first one; there must be one. */
  get firstMs(): number {
    return this.#times[0] as number;
  }

  /** @returns The first slot; there must be one. */
  pop(): number {
    const first = this.#slots[0] as number;
    const last = --this.size;
    const atMs = this.#times[last] as number;
    const order = this.#orders[last] as number;
    let place = 0;
    for (let child = 1; child < last; child = 2 * place + 1) {
      const right = child + 1;
      if (
        right < last &&
        this.#after(child, this.#times[right] as number, this.#orders[right] as number)
      )
        child = right;
      if (this.#after(child, atMs, order)) break;
      this.#move(child, place);
      place = child;
    }
    this.#put(place, atMs, order, this.#slots[last] as number);
    return first;
  }

  /** Whether what is at a place comes after an event of that time and order. */
  #after(place: number, atMs: number, order: number): boolean {
    const time = this.#times[place] as number;
    return time > atMs || (time === atMs && (this.#orders[place] as number) > order);
  }

  #move(from: number, to: number): void {
    this.#put(
      to,
      this.#times[from] as number,
      this.#orders[from] as number,
      this.#slots[from] as number,
    );
  }

  #put(place: number, atMs: number, order: number, slot: number): void {
    this.#times[place] = atMs;
    this.#orders[place] = order;
    this.#slots[place] = slot;
  }
}

function copied<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
