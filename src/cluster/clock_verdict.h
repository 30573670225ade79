#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace clickmill::cluster {

/// How far a peer's clock is from ours: between offset_ms − error_ms and offset_ms + error_ms.
struct ClockOffset {
  int64_t offset_ms = 0;  ///< above 0: its clock is ahead
  int64_t error_ms = 0;   ///< half of the round trip that measured it, rounded up
};

/// Whether a node's clock may set log time. `peers`: what it knows of the others at present;
/// `nodes`: how many the cluster has, itself included; `copies`: how many of them hold a partition.
/// Where a majority of all nodes agrees (within 10 s, beyond the error, of its middle), the
/// clock is fit if it is one of those that agree. Where none does (too few are heard, or all
/// differ), those are that the kernel calls synchronised. But a majority of copies may be there
/// where one of the nodes isn't, and is not to wait for the others: if those that are heard are so
/// many, and all agree, that is as good.
bool clock_is_fit(const std::vector<ClockOffset>& peers, size_t nodes, size_t copies,
                  bool synchronised);

}  // namespace clickmill::cluster
