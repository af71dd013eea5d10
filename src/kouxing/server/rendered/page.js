// A viewer of a rendered stream: plain video and sound over WebRTC, and what one says to it.

import {keepInStep} from "./step.js";

const $ = (name) => document.getElementById(name);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const wanted = new URLSearchParams(location.search);
const headers = token ? {authorization: `Bearer ${token}`} : {};
let peer, channel, viewer, voice;

function tell(text) {
  $("status").textContent = text;
}

async function call(path, options = {}) {
  const answer = await fetch(`/v1/rtc${path}`, {...options, headers: {...headers, ...options.headers}});
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error?.message ?? told.detail ?? `the server answers ${answer.status}`);
}

async function start() {
  $("start").hidden = true;
  tell("Connecting");
  peer = new RTCPeerConnection({iceServers: []});
  peer.addTransceiver("video", {direction: "recvonly"});
  voice = peer.addTransceiver("audio", {direction: "sendrecv"});
  channel = peer.createDataChannel("kouxing");
  channel.onmessage = ({data}) => tell(JSON.parse(data).message);
  const media = new MediaStream();
  peer.ontrack = ({track}) => media.addTrack(track);
  keepInStep(peer);
  peer.onconnectionstatechange = () => {
    if (["failed", "closed", "disconnected"].includes(peer.connectionState)) end("The connection has ended");
  };
  await peer.setLocalDescription(await peer.createOffer());
  await gathered();
  const body = {sdp: peer.localDescription.sdp, type: "offer"};
  for (const name of ["source", "session", "stream", "codec"]) if (wanted.get(name)) body[name] = wanted.get(name);
  const told = await call("", {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body),
  });
  viewer = told.id;
  await peer.setRemoteDescription({type: "answer", sdp: told.sdp});
  $("video").srcObject = media;
  await $("video").play();
  for (const name of ["say", "microphone", "file", "stop"]) $(name).disabled = false;
  tell("Listening");
}

function gathered() {
  if (peer.iceGatheringState === "complete") return undefined;
  return new Promise((done) => {
    setTimeout(done, 500);
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
  });
}

function end(why) {
  if (!peer) return;
  hush();
  peer.close();
  peer = viewer = undefined;
  for (const name of ["say", "microphone", "file", "stop"]) $(name).disabled = true;
  $("start").hidden = false;
  tell(why);
}

function hush() {
  voice?.sender.track?.stop();
  voice?.sender.replaceTrack(null);
  $("microphone").setAttribute("aria-pressed", "false");
}

async function listen() {
  if ($("microphone").getAttribute("aria-pressed") === "true") {
    hush();
    channel.send(JSON.stringify({event: "end"}));
    tell("Listening");
    return;
  }
  const sound = {echoCancellation: true, noiseSuppression: true, autoGainControl: true};
  const media = await navigator.mediaDevices.getUserMedia({audio: sound});
  await voice.sender.replaceTrack(media.getAudioTracks()[0]);
  $("microphone").setAttribute("aria-pressed", "true");
  tell("The microphone is on");
}

async function play(file) {
  tell(`Sending ${file.name}`);
  const told = await call(`/${viewer}/speech`, {method: "POST", body: file});
  tell(`${told.seconds.toFixed(1)} s of speech`);
}

function trying(work) {
  return async (event) => {
    event?.preventDefault();
    try {
      await work(event);
    } catch (error) {
      if (!viewer) end(error.message);
      tell(error.message);
    }
  };
}

$("start").onclick = trying(start);
$("microphone").onclick = trying(listen);
$("stop").onclick = trying(async () => {
  await call(`/${viewer}/interrupt`, {method: "POST"});
  tell("Stopped");
});
$("form").onsubmit = trying(async () => {
  if ($("text").value.trim()) channel.send(JSON.stringify({event: "say", text: $("text").value, language: "en-us"}));
  $("text").value = "";
});
$("file").onchange = trying(async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (file) await play(file);
});
addEventListener("pagehide", () => {
  if (viewer) fetch(`/v1/rtc/${viewer}`, {method: "DELETE", headers, keepalive: true});
});
