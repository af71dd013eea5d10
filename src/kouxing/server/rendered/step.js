// Keeps sound and picture of a WebRTC connection in step.
//
// Chromium lines them up by itself, but only once they are 30 ms apart, and it lets the picture's delay creep upwards
// to what it thinks it may need. What it knows of both is exact (by the server's sender reports): so the picture's
// shortest delay is moved a little every two seconds, and where the picture cannot come sooner, the sound waits for it.

const FIRST_MS = 100, PICTURE_MS = 80, SOUND_MS = 60, LONGEST_MS = 400;
const LOOK_MS = 250, LOOKS = 8, NEAR_MS = 3, PART = 0.5, BACK_MS = 5;

// After a connection's transceivers; ends with it. A browser that cannot tell or cannot move them is left alone.
export function keepInStep(peer) {
  const of = (kind) => peer.getReceivers().find(({track}) => track.kind === kind);
  const picture = of("video"), sound = of("audio");
  if (!picture || !sound || !("jitterBufferTarget" in picture)) return;
  const least = {picture: FIRST_MS, sound: SOUND_MS};
  const set = () => {
    picture.jitterBufferTarget = least.picture;
    sound.jitterBufferTarget = least.sound;
  };
  set();
  let leads = [], before;
  const timer = setInterval(async () => {
    if (peer.connectionState === "closed") return clearInterval(timer);
    const now = await played(peer);
    if (!Number.isFinite(now.lead)) return;
    before ??= now;
    if (leads.push(now.lead) < LOOKS) return;
    const held = (now.held - before.held) / Math.max(now.pictures - before.pictures, 1);
    move(least, leads.sort((one, other) => one - other)[LOOKS / 2], held);
    set();
    leads = [];
    before = now;
  }, LOOK_MS);
}

// `early`: milliseconds by which the sound is ahead of the picture. `held`: how long pictures waited to be decoded.
export function move(least, early, held) {
  const bound = (from, value) => Math.min(Math.max(value, from), LONGEST_MS);
  // Otherwise the browser has reasons of its own to hold pictures for longer.
  const obeyed = held < least.picture;
  if (Math.abs(early) < NEAR_MS) {
    if (obeyed && least.picture > PICTURE_MS + 2 * BACK_MS) least.sound = bound(SOUND_MS, least.sound - BACK_MS);
  } else if (early < 0 || (obeyed && least.picture > PICTURE_MS)) {
    least.picture = bound(PICTURE_MS, least.picture - PART * early);
  } else {
    least.sound = bound(SOUND_MS, least.sound + PART * early);
  }
}

async function played(peer) {
  const told = {};
  for (const one of (await peer.getStats()).values()) if (one.type === "inbound-rtp") told[one.kind] = one;
  const {audio, video} = told;
  return {
    lead: audio?.estimatedPlayoutTimestamp - video?.estimatedPlayoutTimestamp,
    held: 1000 * video?.jitterBufferDelay, pictures: video?.jitterBufferEmittedCount,
  };
}
