import { expect } from "chai";
import { readPlaylist } from "../../../src/mesh/playback/playlist-reader.js";

const BASE = "https://cdn.example/live/";

const MASTER = `#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="audio/en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="a"
low/index.m3u8?token=1
#EXT-X-STREAM-INF:BANDWIDTH=1700000,AUDIO="a"
/other/high.m3u8
`;

const LOW_LATENCY = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI="init.mp4"
#EXTINF:4.0,
seg7.m4s
#EXT-X-PART:DURATION=1.0,URI="seg8.0.m4s"
#EXTINF:3.5,
seg8.m4s
#EXT-X-PART:DURATION=1.0,URI="seg9.0.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg9.1.m4s"
`;

const representation = (id: string, bandwidth: number) =>
  `<Representation id="${id}" mimeType="video/mp4" codecs="avc1.42c00d" bandwidth="${bandwidth}" width="256" height="144"/>`;

const MPD = `<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S" profiles="urn:mpeg:dash:profile:isoff-live:2011">
  <Period><AdaptationSet contentType="video">
    <SegmentTemplate timescale="1000" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/$Time$.m4s">
      <SegmentTimeline><S t="0" d="4000" r="1"/><S d="2000"/></SegmentTimeline>
    </SegmentTemplate>
    ${representation("low", 400_000)}${representation("high", 1_700_000)}
  </AdaptationSet></Period>
</MPD>`;

describe("playlist-reader", () => {
  it("readPlaylist() finds the playlists of an HLS master, audio too", () => {
    expect(readPlaylist(`${BASE}master.m3u8`, MASTER)).to.deep.include({
      children: [
        { url: `${BASE}low/index.m3u8?token=1`, bandwidth: 900_000 },
        { url: "https://cdn.example/other/high.m3u8", bandwidth: 1_700_000 },
        { url: `${BASE}audio/en.m3u8`, bandwidth: 0 },
      ],
      renditions: [],
    });
  });

  it("readPlaylist() names what it finds as requests for it are named, without tokens", () => {
    const [variant] = readPlaylist(`${BASE}master.m3u8`, MASTER, ["token"])?.children ?? [];
    const text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts?v=1&token=b\n";
    const playlist = readPlaylist(`${BASE}low/index.m3u8?token=2`, text, ["token"]);
    expect(playlist?.renditions[0]).to.deep.include({
      id: variant?.url,
      segments: [{ url: `${BASE}low/a.ts?v=1`, durationS: 4 }],
    });
  });

  it("readPlaylist() tells segments of a low-latency playlist from their parts", () => {
    const [rendition] = readPlaylist(`${BASE}low.m3u8`, LOW_LATENCY)?.renditions ?? [];
    expect(rendition?.segments).to.deep.equal([
      { url: `${BASE}seg7.m4s`, durationS: 4 },
      { url: `${BASE}seg8.m4s`, durationS: 3.5 },
    ]);
    expect(rendition?.parts).to.deep.equal(["8.0", "9.0", "9.1"].map((n) => `${BASE}seg${n}.m4s`));
  });

  it("readPlaylist() leaves out segments that share a file", () => {
    const text =
      "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n#EXT-X-BYTERANGE:100@0\nall.mp4\n#EXT-X-ENDLIST\n";
    expect(readPlaylist(`${BASE}a.m3u8`, text)?.renditions[0]?.segments).to.deep.equal([]);
  });

  it("readPlaylist() reads a DASH manifest with the page's own XML parser", () => {
    const renditions = readPlaylist(`${BASE}film.mpd`, MPD)?.renditions ?? [];
    expect(renditions.map(({ bandwidth, choice }) => [bandwidth, choice])).to.deep.equal([
      [400_000, 2],
      [1_700_000, 2],
    ]);
    expect(renditions[1]?.segments).to.deep.equal([
      { url: `${BASE}high/0.m4s`, durationS: 4 },
      { url: `${BASE}high/4000.m4s`, durationS: 4 },
      { url: `${BASE}high/8000.m4s`, durationS: 2 },
    ]);
  });

  it("readPlaylist() makes nothing of what is no playlist", () => {
    for (const text of ["", "<html></html>", "<MPD></MPD>", "{}", "<MPD"]) {
      expect(readPlaylist(`${BASE}x.mpd`, text)?.renditions ?? [], text).to.deep.equal([]);
    }
  });
});
