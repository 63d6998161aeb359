/** Why a picture gets no answer, in words for the person who showed it. */
export class NoAnswer extends Error {
  /** `again`: the same picture may be answered later; `waitSeconds`: how much later, where that is known. */
  constructor(message, again, waitSeconds = 0) {
    super(message);
    Object.assign(this, { again, waitSeconds });
  }
}
