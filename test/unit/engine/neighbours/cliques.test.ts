import { expect } from "chai";
import { Cliques } from "../../../../src/engine/neighbours/cliques.js";
import { halvesOf } from "../../../../src/engine/neighbours/halves.js";
import { oneOf, seeded } from "../../../support/random.js";

interface Person {
  readonly name: number;
  readonly place: number;
  readonly network: number;
}

/** Cliques of people on a line, and the links that somebody would have who did all that was told. */
function setUp(random: () => number, { networks = 1_000, target = 12, bridges = 3 } = {}) {
  const present = new Set<Person>();
  const linked = new Map<Person, Set<Person>>();
  const subject = new Cliques<Person>({
    ...{ target, bridges, random },
    distance: (a, b) => Math.abs(a.place - b.place),
    crowdOf: ({ network }) => network,
    strengthOf: ({ name }) => name % 7,
  });
  const change = ({ link, unlink }: ReturnType<typeof subject.join>) => {
    for (const [a, b] of unlink) {
      linked.get(a)?.delete(b);
      linked.get(b)?.delete(a);
    }
    for (const [a, b] of link) {
      linked.get(a)?.add(b);
      linked.get(b)?.add(a);
    }
  };
  let lastName = 0;
  const join = (swarm = "film", person?: Person) => {
    const network = Math.floor(random() * networks);
    const who = person ?? { name: ++lastName, place: random(), network };
    present.add(who);
    if (!linked.has(who)) linked.set(who, new Set());
    const told = subject.join(who, swarm);
    change(told);
    return { who, told };
  };
  const leave = (who: Person) => {
    present.delete(who);
    const told = subject.leave(who);
    change(told);
    linked.delete(who);
    for (const others of linked.values()) others.delete(who);
    return told;
  };
  const view = (who: Person) => {
    const view = subject.viewOf(who);
    if (!view) throw new Error(`Cannot find the clique of ${who.name}`);
    return view;
  };
  return { subject, present, linked, join, leave, view };
}

const namesOf = (people: Iterable<Person> = []) =>
  [...people].map(({ name }) => name).sort((a, b) => a - b);

type World = ReturnType<typeof setUp>;

/** All invariants of the module's header, and that the changes told lead to the links shown. */
function check({ subject, present, linked, view }: World, swarms = 1) {
  const cliques = new Map<number, ReadonlySet<Person>>();
  for (const who of present) {
    const { id, members, bridge, around, epoch } = view(who);
    expect(members.has(who)).to.equal(true);
    cliques.set(id, members);
    const expected = new Set(members).add(who);
    expected.delete(who);
    if (bridge) {
      expect(view(bridge.to).bridge?.to, "bridges have two ends").to.equal(who);
      expect(view(bridge.to).id).to.equal(bridge.clique).and.not.equal(id);
      expect(around).to.include(bridge.clique);
      expected.add(bridge.to);
    }
    expect(String(namesOf(linked.get(who)))).to.equal(String(namesOf(expected)));
    if (![...members].every((other) => view(other).epoch === epoch)) expect.fail("epochs differ");
  }
  expect(subject.count).to.equal(cliques.size);
  const sizes = [...cliques.values()].map(({ size }) => size);
  expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(present.size);
  expect(Math.max(0, ...sizes)).to.be.at.most(subject.membersMax);
  if (swarms > 1 || sizes.length <= 1) return;
  expect(Math.min(...sizes)).to.be.at.least(subject.membersMin);
  const [first] = present;
  const reached = new Set(first ? [view(first).id] : []);
  for (const id of reached) {
    for (const who of cliques.get(id) ?? []) for (const next of view(who).around) reached.add(next);
  }
  expect(reached.size, "cliques that hang together").to.equal(cliques.size);
}

function live(seed: number, options: { networks: number; bridges: number }) {
  const random = seeded(seed);
  const world = setUp(random, options);
  for (let step = 0; step < 400; step++) {
    const who = oneOf(random, [...world.present]);
    if (who && random() < (step < 200 ? 0.2 : 0.65)) world.leave(who);
    else world.join();
    if (step % 4 === 0) check(world);
  }
}

describe("cliques", () => {
  for (const options of [
    { networks: 1_000, bridges: 2 },
    { networks: 4, bridges: 3 },
    { networks: 1_000, bridges: 12 },
  ]) {
    it(`Cliques keeps sizes, links and bridges right through joins and leaves: ${JSON.stringify(options)}`, () => {
      for (let seed = 1; seed <= 8; seed++) live(seed, options);
    });
  }

  it("Cliques puts up to 16 into one clique, and parts the 17th's", () => {
    const world = setUp(seeded(5));
    const all = Array.from({ length: 16 }, () => world.join().who);
    for (const who of all) expect(world.view(who).members.size).to.equal(16);
    world.join();
    expect(all.map((who) => world.view(who).members.size).sort()).to.include.members([8, 9]);
    check(world);
  });

  it("Cliques keeps swarms apart, and moves who enters another one", () => {
    const random = seeded(8);
    const world = setUp(random);
    for (let index = 0; index < 40; index++) world.join(`film ${index % 2}`);
    check(world, 2);
    const [mover] = world.present;
    if (!mover) throw new Error("nobody came");
    const { told } = world.join("film 1", mover);
    check(world, 2);
    expect(told.changed.has(mover)).to.equal(true);
    expect([...world.join("film 1", mover).told.changed], "nothing new").to.deep.equal([]);
    for (const who of world.view(mover).members)
      expect(who === mover || who.name % 2 === 0).to.equal(true);
  });

  it("Cliques names exactly those whose view changed", () => {
    const random = seeded(12);
    const world = setUp(random);
    const shown = (who: Person) => {
      const { id, members, bridge, around } = world.view(who);
      return JSON.stringify([
        id,
        namesOf(members),
        bridge?.to.name,
        bridge?.clique,
        [...around].sort(),
      ]);
    };
    for (let step = 0; step < 300; step++) {
      const before = new Map([...world.present].map((who) => [who, shown(who)]));
      const who = oneOf(random, [...world.present]);
      const { changed } = who && random() < 0.45 ? world.leave(who) : world.join().told;
      for (const one of world.present) {
        if (shown(one) !== before.get(one)) expect(changed.has(one), `step ${step}`).to.equal(true);
      }
      for (const one of changed) expect(world.present.has(one)).to.equal(true);
    }
  });

  it("Cliques brings near ones together, but for a share", () => {
    const random = seeded(3);
    const world = setUp(random);
    for (let index = 0; index < 400; index++) world.join();
    let sum = 0;
    for (const who of world.present) {
      const others = [...world.view(who).members].filter((other) => other !== who);
      sum +=
        others.reduce((all, { place }) => all + Math.abs(place - who.place), 0) / others.length;
    }
    expect(sum / world.present.size, "by chance it would be a third").to.be.within(0.01, 0.2);
  });

  it("Cliques gives no network a clique of its own while others are there", () => {
    for (const order of ["office first", "office last", "mixed"]) {
      const world = setUp(seeded(order.length));
      const join = (network: number, place: number) =>
        world.join("film", { name: world.present.size, place, network });
      const office = Array.from({ length: 30 }, () => () => join(7, 0.5));
      const others = Array.from({ length: 10 }, (_, at) => () => join(100 + at, at / 10));
      const both = order === "office first" ? [...office, ...others] : [...others, ...office];
      if (order === "mixed") both.sort((a, b) => office.indexOf(a) - others.indexOf(b));
      for (const enter of both) enter();
      check(world);
      for (const who of world.present) {
        const networks = [...world.view(who).members].map(({ network }) => network);
        expect(new Set(networks).size, order).to.be.above(1);
      }
    }
  });

  it("Cliques looks for a newcomer's mates first", () => {
    const random = seeded(21);
    const people: { name: number; film: number }[] = [];
    const subject = new Cliques<(typeof people)[number]>({
      ...{ target: 12, bridges: 3, random },
      distance: (a, b) => (a.film === b.film ? 0 : 4),
      matesOf: ({ film }) => people.filter((other) => other.film === film).slice(-16),
    });
    for (let name = 0; name < 300; name++) {
      const who = { name, film: name % 5 };
      subject.join(who, "all");
      people.push(who);
    }
    const strangers = people.map((who) => {
      const members = [...(subject.viewOf(who)?.members ?? [])];
      return members.filter(({ film }) => film !== who.film).length / members.length;
    });
    expect(strangers.reduce((a, b) => a + b) / strangers.length).to.be.below(0.1);
  });

  it("Cliques gives bridges to the stronger", () => {
    const world = setUp(seeded(2));
    for (let index = 0; index < 600; index++) world.join();
    const envoys = [...world.present].filter((who) => world.view(who).bridge);
    const mean = (people: readonly Person[]) =>
      people.reduce((sum, { name }) => sum + (name % 7), 0) / people.length;
    expect(mean(envoys)).to.be.above(mean([...world.present]) + 0.5);
  });

  it("Cliques of a viewer alone, and of one unknown", () => {
    const world = setUp(seeded(1));
    const { who } = world.join();
    expect([...world.view(who).members]).to.deep.equal([who]);
    expect(world.subject.viewOf({ name: 0, place: 0, network: 0 })).to.equal(undefined);
    expect([...world.subject.leave({ name: 0, place: 0, network: 0 }).changed]).to.deep.equal([]);
    world.leave(who);
    expect(world.subject.count).to.equal(0);
  });

  it("halvesOf() parts evenly, loses nobody, and divides a crowd", () => {
    const random = seeded(31);
    for (let round = 0; round < 300; round++) {
      const size = Math.floor(random() * 20);
      const networks = 1 + Math.floor(random() * 4);
      const people = Array.from({ length: size }, (_, name) => ({
        ...{ name, place: random(), network: Math.floor(random() * networks) },
      }));
      const halves = halvesOf<Person>(people, {
        distance: (a, b) => Math.abs(a.place - b.place),
        crowdOf: ({ network }) => network,
        crowdMax: 6,
      });
      expect(namesOf(halves.flat())).to.deep.equal(namesOf(people));
      expect(halves[0].length + halves[1].length).to.equal(size);
      expect(Math.abs(halves[0].length - halves[1].length)).to.be.at.most(1);
      for (const half of halves) {
        for (const { network } of half) {
          const isOf = (person: Person) => person.network === network;
          const share = (people.filter(isOf).length * half.length) / size;
          expect(half.filter(isOf).length).to.be.at.most(Math.max(6, Math.ceil(share)));
        }
      }
    }
  });
});
