/** Where the faces of a webcam's frames are. The search takes most of the time of a small model's answer, and a face hardly
    moves from frame to frame. */

const SEARCH_MS = 150;  // faces are searched for no more often; in the frames between, they are where they were

/** `search(photo)`: a promise of the faces of a photo. */
export class FrameFaces {
  faces = [];
  searched = -Infinity;

  constructor(search) {
    this.search = search;
  }

  /** The faces of a frame at `now` (ms). While there are none, every frame is searched. */
  async of(photo, now) {
    const size = `${photo.width} x ${photo.height}`;
    if (this.faces.length && this.size === size && now - this.searched < SEARCH_MS) return this.faces;
    this.faces = await this.search(photo);
    this.searched = now;
    this.size = size;
    return this.faces;
  }
}
