import { expect } from "chai";
import { type DeviceFacts, uploadBarrier } from "../../../../src/engine/uploads/manners.js";

const calm: DeviceFacts = {
  saveData: undefined,
  lineType: undefined,
  battery: undefined,
  hiddenMs: 0,
};

const CASES: [string, Partial<DeviceFacts>, string | undefined][] = [
  ["a browser that tells nothing", {}, undefined],
  ["data saver", { saveData: true }, "data saver"],
  ["no data saver", { saveData: false }, undefined],
  ["a cellular line", { lineType: "cellular" }, "cellular line"],
  ["Wi-Fi", { lineType: "wifi" }, undefined],
  ["an empty battery", { battery: { level: 0.19, charging: false } }, "low battery"],
  ["an empty battery that charges", { battery: { level: 0.01, charging: true } }, undefined],
  ["a battery at the limit", { battery: { level: 0.2, charging: false } }, undefined],
  ["a page hidden for a minute", { hiddenMs: 60_000 }, undefined],
  ["a page hidden for longer", { hiddenMs: 60_001 }, "hidden page"],
];

describe("manners", () => {
  for (const [what, facts, expected] of CASES) {
    it(`uploadBarrier() answers ${expected ?? "nothing"} for ${what}`, () => {
      expect(uploadBarrier("auto", { ...calm, ...facts })).to.equal(expected);
      expect(uploadBarrier("always", { ...calm, ...facts })).to.equal(undefined);
      expect(uploadBarrier("never", { ...calm, ...facts })).to.equal("upload is off");
    });
  }
});
