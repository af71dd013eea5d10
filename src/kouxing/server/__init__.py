"""The live server: speech or text in, a moving face out, over WebSocket, HTTP and WebRTC (docs/protocol.md)."""
