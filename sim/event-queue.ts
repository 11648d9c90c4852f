/**
 * The future: a binary heap over typed arrays. An event is a kind and three integers, so that millions of
 * pieces cost no closure each. Events of the same time leave in the order in which they came.
 * @module
 */

const START_CAPACITY = 1 << 16;

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
  #capacity = START_CAPACITY;
  /** By place in the heap. */
  #times = new Float64Array(START_CAPACITY);
  #orders = new Float64Array(START_CAPACITY);
  #slots = new Int32Array(START_CAPACITY);
  /** By slot. */
  #kinds = new Uint8Array(START_CAPACITY);
  #as = new Int32Array(START_CAPACITY);
  #bs = new Int32Array(START_CAPACITY);
  #cs = new Int32Array(START_CAPACITY);
  #free: number[] = [];

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
    if (this.#size === this.#capacity) this.#grow();
    const slot = this.#free.pop() ?? this.#size;
    this.#kinds[slot] = kind;
    this.#as[slot] = a;
    this.#bs[slot] = b;
    this.#cs[slot] = c;
    this.#rise(this.#size++, atMs, this.#sequence++, slot);
    if (this.#size > this.#peak) this.#peak = this.#size;
  }

  /** Takes the earliest event out. @returns `false` if there is none. */
  next(): boolean {
    if (this.#size === 0) return false;
    const slot = this.#slots[0] as number;
    this.atMs = this.#times[0] as number;
    this.kind = this.#kinds[slot] as number;
    this.a = this.#as[slot] as number;
    this.b = this.#bs[slot] as number;
    this.c = this.#cs[slot] as number;
    this.#free.push(slot);
    this.#size--;
    if (this.#size > 0) this.#sink();
    return true;
  }

  #rise(from: number, atMs: number, order: number, slot: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((this.#times[parent] as number) <= atMs) break; // a later event never overtakes
      this.#move(parent, place);
      place = parent;
    }
    this.#put(place, atMs, order, slot);
  }

  /** The last event takes the root's place and sinks to its own. */
  #sink(): void {
    const last = this.#size;
    const atMs = this.#times[last] as number;
    const order = this.#orders[last] as number;
    const slot = this.#slots[last] as number;
    let place = 0;
    for (let child = 1; child < this.#size; child = 2 * place + 1) {
      if (child + 1 < this.#size && this.#before(child + 1, child)) child++;
      const time = this.#times[child] as number;
      if (atMs < time || (atMs === time && order < (this.#orders[child] as number))) break;
      this.#move(child, place);
      place = child;
    }
    this.#put(place, atMs, order, slot);
  }

  #before(x: number, y: number): boolean {
    const difference = (this.#times[x] as number) - (this.#times[y] as number);
    return difference < 0 || (difference === 0 && this.#orderOf(x) < this.#orderOf(y));
  }

  #orderOf(place: number): number {
    return this.#orders[place] as number;
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#orders[to] = this.#orders[from] as number;
    this.#slots[to] = this.#slots[from] as number;
  }

  #put(place: number, atMs: number, order: number, slot: number): void {
    this.#times[place] = atMs;
    this.#orders[place] = order;
    this.#slots[place] = slot;
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#times = copied(this.#times, new Float64Array(this.#capacity));
    this.#orders = copied(this.#orders, new Float64Array(this.#capacity));
    this.#slots = copied(this.#slots, new Int32Array(this.#capacity));
    this.#kinds = copied(this.#kinds, new Uint8Array(this.#capacity));
    this.#as = copied(this.#as, new Int32Array(this.#capacity));
    this.#bs = copied(this.#bs, new Int32Array(this.#capacity));
    this.#cs = copied(this.#cs, new Int32Array(this.#capacity));
  }
}

function copied<T extends Float64Array | Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
