/** The stage: one of stream, file and pictures at a time, each loaded only when it is chosen. */
import { Hls } from "/vendor/hls.mjs";

const CAPTIONS = {
  hls: "An HLS stream in hls.js, as it comes: the player needs no plug-in and no setting.",
  mp4: "A plain <video> element; the browser asks for byte ranges of one file.",
  gallery: "Pictures in <img> elements.",
};

export class Player {
  /** The running hls.js player, or `undefined`. */
  hls;
  #video = document.querySelector("#video");
  #gallery = document.querySelector("#panel-gallery");
  #film = document.querySelector("#panel-film");
  #caption = document.querySelector(".caption");
  #zoom = document.querySelector("#zoom");

  constructor({ loop = false } = {}) {
    this.#video.loop = loop;
    this.#gallery.addEventListener("click", ({ target }) =>
      this.#enlarge(target.closest("button")),
    );
  }

  get video() {
    return this.#video;
  }

  /**
   * Shows one kind of media and starts it.
   *
   * @param kind "hls", "mp4" or "gallery".
   * @param offers The catalog's entries of that kind; `src` picks one, and may be one that the catalog lacks.
   */
  async play(kind, { offers, src = offers[0]?.src }) {
    this.clear();
    this.#film.hidden = kind === "gallery";
    this.#gallery.hidden = kind !== "gallery";
    this.#caption.textContent = CAPTIONS[kind];
    if (kind === "gallery") return this.#showPictures(offers);
    if (!src) {
      this.#caption.textContent = "There is nothing of this kind in the media folder.";
      return;
    }
    if (kind === "hls") this.#attachStream(src);
    else this.#video.src = src;
    // A browser that forbids even muted autoplay leaves the start to the viewer.
    await this.#video.play().catch(() => {});
  }

  clear() {
    this.hls?.destroy();
    this.hls = undefined;
    if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      // Without load() the element would go on downloading the file that nobody sees any more.
      this.#video.load();
    }
    this.#gallery.replaceChildren();
  }

  #attachStream(src) {
    if (!Hls.isSupported()) {
      // Safari on older iPhones plays HLS itself and has no Media Source Extensions.
      this.#video.src = src;
      return;
    }
    // The ES module of hls.js has no worker inside, unlike its classic script.
    this.hls = new Hls({ workerPath: "/vendor/hls.worker.js" });
    this.hls.on(Hls.Events.ERROR, (_, { fatal, details }) => {
      if (fatal) this.#caption.textContent = `The player gave up: ${details}.`;
    });
    this.hls.loadSource(src);
    this.hls.attachMedia(this.#video);
  }

  #showPictures(offers) {
    if (offers.length === 0)
      this.#gallery.textContent = "There are no pictures in the media folder.";
    for (const { src, title } of offers) {
      const button = document.createElement("button");
      const picture = document.createElement("img");
      const name = document.createElement("span");
      button.type = "button";
      picture.crossOrigin = "anonymous";
      picture.alt = "";
      picture.src = src;
      name.textContent = title;
      button.append(picture, name);
      this.#gallery.append(button);
    }
  }

  #enlarge(button) {
    if (!button) return;
    const picture = this.#zoom.querySelector("img");
    picture.src = button.querySelector("img").src;
    picture.alt = button.textContent;
    this.#zoom.showModal();
  }
}
