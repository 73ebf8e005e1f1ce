//! What the server and its media process share: what is asked and answered, and how a child is kept. No API for others.

mod fork;
mod jail;
mod message;
mod serve;

pub use jail::Jail;
pub(crate) use jail::{Bounds, Walls, be_first_to_die};
pub(crate) use message::read;
pub use message::{
    BestFrame, CodedFormat, CodedImage, ImageBounds, Landlock, Order, Pixels, Probe, ProbeFormat, ProbeTrack,
    Refused, Reply, Request, Span, Tiles, Timings, TrackKind, Trial,
};
pub(crate) use serve::{DESCRIPTORS, MAX_ORDER};
pub use serve::{Handler, Input, Reader, serve};

pub use crate::{
    boxes::{FileBox, be16, be32, be64, child, children, read_box, read_content},
    probe::DEMUXERS,
    shape::{is_hdr, is_interlaced, matrix},
    still::{Fit, show},
};
