"""The way to other devices: Noise channels over TCP, discovery on the local network, peers."""
