import { expect } from "chai";
import { Ewma } from "../../../src/core/ewma.js";
import { fc } from "../../support/properties.js";

describe("ewma", () => {
  it("Ewma knows nothing before the first sample and takes that one as it is", () => {
    const average = new Ewma(0.25);
    expect(average.value).to.equal(undefined);
    average.add(0);
    expect(average.value).to.equal(0);
  });

  it("Ewma moves towards each further sample by its weight", () => {
    const average = new Ewma(0.25);
    for (const sample of [100, 200, 200]) average.add(sample);
    expect(average.value).to.equal(143.75);
  });

  it("Ewma stays between the smallest and the largest sample", () => {
    const anySample = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    const anyWeight = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(anyWeight, fc.array(anySample, { minLength: 1 }), (weight, samples) => {
        const average = new Ewma(weight);
        for (const sample of samples) average.add(sample);
        const slack = 1e-3; // floating point
        expect(average.value).to.be.within(
          Math.min(...samples) - slack,
          Math.max(...samples) + slack,
        );
      }),
    );
  });
});
