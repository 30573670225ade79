#pragma once

#include <string>
#include <string_view>

#include "base/random.h"

namespace clickmill::decoders {

/// A decoder of bytes from disk or network, for libFuzzer (tests/fuzz) and for the
/// seeded mutations of the unit tests. `check` decodes any bytes and aborts when
/// what it gave breaks a promise; where bytes stand under a checksum it makes that
/// right first, since no mutation would. `example` gives bytes that decode.
struct Decoder {
  const char* name;
  std::string (*example)(Random& random);
  void (*check)(std::string_view bytes);
};

extern const Decoder kSegment;
extern const Decoder kManifest;
extern const Decoder kColumnCodec;
extern const Decoder kRecord;
extern const Decoder kClickJson;
extern const Decoder kHttpRequest;
extern const Decoder kProxyHeader;
extern const Decoder kJournal;
extern const Decoder kPeerFrame;
extern const Decoder kPeerHandshake;
extern const Decoder kRaftMessage;
extern const Decoder kBeat;
extern const Decoder kFounding;
extern const Decoder kEntryPayload;
extern const Decoder kSketch;
extern const Decoder kPart;
extern const Decoder kToldByProxies;
extern const Decoder kForm;
extern const Decoder kAd;
extern const Decoder kConfig;

}  // namespace clickmill::decoders
