"""The Qt desktop of Lutra: windows over a node, joined to it by `lutra_app.bridge` alone."""
