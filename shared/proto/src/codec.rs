//! How messages become bytes: Protocol Buffers, in buffers about as large as what most of them take.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::BufferSettings;
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What a message's buffer begins with, in bytes; a larger message makes it grow, and what comes in from half of it on. tonic
/// begins with 8 KiB, twice for each call; what a call keeps of its request (a payload is a part of the buffer it came in)
/// keeps all of that for as long as it waits.
const BUFFER: usize = 1_024;
/// A stream's messages that are ready together go out together, up to so many bytes; as in tonic.
const TOGETHER: usize = 32 * 1_024;

/// Encodes `T` and decodes `U`.
#[derive(Debug, Clone, Copy)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, TOGETHER))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, TOGETHER))
    }
}
