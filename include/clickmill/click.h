#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>

namespace clickmill {

/// One click. Only the ad is needed; an empty text is an absent one.
struct Click {
  std::string ad_id;
  /// 1 to 64 visible ASCII characters. A click is (ad_id, click_id): a copy within 24 hours
  /// changes nothing. Absent: one is made, and every call is a click of its own.
  std::string click_id;
  /// When the person clicked, in ms since 1970; 0: now. One that is more than 30 s after its
  /// minute's end, or ahead of the clock, goes to review.
  std::int64_t timestamp_ms = 0;
  std::string device_type;  ///< mobile, desktop, tablet, other; absent: what the agent says
  std::string country;      ///< ISO 3166-1 alpha-2; what is none counts as unknown
  std::string user_id;      ///< at most 256 bytes of UTF-8; absent: ip and agent stand for it,
                            ///< and without these the click adds no visitor
  std::string ip;
  std::string user_agent;
  std::string referrer;
  /// Whether a machine clicked: a robot, a link preview, a script. Absent: what the agent says.
  std::optional<bool> automated;
};

/// What became of a click.
enum class Fate : std::uint8_t {
  durable,    ///< it is as durable as `collector.durability` says, and will be counted once
  dropped,    ///< it could not be written: no room, or a disk that refuses
  undecided,  ///< only with durability "replicated": synced here, but the node was stopped
              ///< before a majority had it; it is brought to them after the next start
};

struct Receipt {
  /// Where to send the person, now: whatever becomes of the record.
  std::string redirect_url;
  /// Ready once the fate is known, and when the node stops at the latest.
  std::future<Fate> fate;
};

}  // namespace clickmill
