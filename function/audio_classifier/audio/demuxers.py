"""List the container formats, by their first bytes, and the codecs that FFmpeg reads for this package.

Nothing else in FFmpeg is used, in particular no demuxer that opens further files or addresses (playlists,
HLS, DASH, concatenations, sessions), and no decoder of video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audio_classifier.audio.codecs import UNKNOWN_CODEC, undecodable_codec
from audio_classifier.audio.formats import EBML_MARK, foreign_format


@dataclass(frozen=True, slots=True)
class Demuxer:
    """A container format.

    Attributes
    ----------
    name
        FFmpeg's name of its demuxer.
    format
        The name for `AudioInfo` and messages.
    is_indexed
        Whether the demuxer knows the length and finds the packet of a time.  The others are read from the
        beginning.
    """

    name: str
    format: str
    is_indexed: bool = False


MOV: Final = Demuxer("mov", "MP4", is_indexed=True)
MATROSKA: Final = Demuxer("matroska", "MATROSKA", is_indexed=True)
WAV: Final = Demuxer("wav", "WAV")
# By the names of `formats.foreign_format`.
DEMUXERS: Final = {
    "a 3GP file": MOV,
    "a BW64 file": WAV,
    "a Creative Voice file (VOC)": Demuxer("voc", "VOC"),
    "a DTS stream": Demuxer("dts", "DTS"),
    "a Flash video": Demuxer("flv", "FLV"),
    "a Monkey's Audio file": Demuxer("ape", "APE", is_indexed=True),
    "a Musepack file": Demuxer("mpc8", "MUSEPACK"),
    "a QuickTime file": MOV,
    "a True Audio file": Demuxer("tta", "TTA", is_indexed=True),
    "a WavPack file": Demuxer("wv", "WAVPACK", is_indexed=True),
    "a Windows Media file (WMA, ASF)": Demuxer("asf", "ASF", is_indexed=True),
    "an AAC stream (ADTS)": Demuxer("aac", "ADTS"),
    "an AC-3 stream": Demuxer("ac3", "AC-3"),
    "an AMR recording": Demuxer("amr", "AMR"),
    "an AVI video": Demuxer("avi", "AVI"),
    "an E-AC-3 stream": Demuxer("eac3", "E-AC-3"),
    "an M4A file (MPEG-4 audio)": MOV,
    "an M4B file (MPEG-4 audio)": MOV,
    "an MP4 file": MOV,
    "an MPEG transport stream": Demuxer("mpegts", "MPEG-TS"),
    "an MPEG video": Demuxer("mpeg", "MPEG-PS"),
    "an old Musepack file": Demuxer("mpc", "MUSEPACK"),
}
# For other codecs in the containers that libsndfile reads, by their first bytes.
OTHER_CODECS: Final = {
    b"RIFF": WAV,
    b"RIFX": WAV,
    b"RF64": WAV,
    b"FORM": Demuxer("aiff", "AIFF"),
    b"caff": Demuxer("caf", "CAF"),
    b"OggS": Demuxer("ogg", "OGG"),
}
# The beginnings of the names of codecs that FFmpeg does not decode, or that are not audio.
NOT_DECODED: Final = (
    *(UNKNOWN_CODEC, "a skeleton stream", "CELT", "Theora video", "Dirac video", "VP8 video", "video"),
)
# FFmpeg's names of decoders.
DECODERS: Final = frozenset(
    (
        *("aac", "aac_latm", "ac3", "alac", "amrnb", "amrwb", "ape", "dca", "eac3", "flac", "opus", "vorbis"),
        *("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mpc7", "mpc8", "speex", "tta", "wavpack"),
        *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "gsm", "gsm_ms", "g722", "g723_1", "g726"),
        *("g726le", "g729", "ilbc", "nellymoser", "truespeech", "mace3", "mace6", "qdm2", "qdmc"),
        *("adpcm_ct", "adpcm_ima_oki", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_sbpro_2"),
        *("adpcm_sbpro_3", "adpcm_sbpro_4", "adpcm_swf", "adpcm_yamaha", "pcm_alaw", "pcm_mulaw", "pcm_s8"),
        *("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_bluray", "pcm_dvd"),
    )
)


def find_demuxer(head: bytes) -> Demuxer | None:
    """Return the demuxer for a file that libsndfile does not read, or None if FFmpeg does not read it either.

    Parameters
    ----------
    head
        The first kilobytes of the file, after ID3v2 tags.
    """
    if head.startswith(EBML_MARK):
        return MATROSKA
    if codec := undecodable_codec(head):
        return None if codec.startswith(NOT_DECODED) else OTHER_CODECS.get(head[:4])
    return DEMUXERS.get(foreign_format(head))
