// @thaunknown/simple-peer imports these names. Undefined makes it report that WebRTC is not supported,
// which is what we want: nodes of a fleet reach one another by TCP.
export const RTCPeerConnection = undefined;
export const RTCSessionDescription = undefined;
export const RTCIceCandidate = undefined;
export default { RTCPeerConnection, RTCSessionDescription, RTCIceCandidate };
