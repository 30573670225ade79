#include "log/group_reader.h"

#include "log/journal_reader.h"

namespace clickmill::log {

GroupReader::GroupReader(FileSystem& files, std::string directory, uint64_t journal_id,
                         uint64_t file_bytes)
    : files_(files),
      directory_(std::move(directory)),
      journal_id_(journal_id),
      file_bytes_(file_bytes) {}

Status GroupReader::open(uint64_t number) {
  if (file_ && number_ == number) return {};
  file_ = TRY(files_.open(directory_ + "/" + journal_file_name(number), FileSystem::Open::read));
  number_ = number;
  return {};
}

Result<std::vector<RecordView>> GroupReader::read(JournalPos position) {
  TRY(open(position.value() / file_bytes_));
  const uint64_t at = position.value() % file_bytes_;
  TRY(file_->read_at(at, kJournalAlign, group_));
  const auto header = peek_group(group_, file_bytes_ - at);
  const bool ours = header && header->position == position && header->file_number == number_ &&
                    header->journal_id == journal_id_;
  const uint64_t bytes = ours ? kGroupHeaderBytes + uint64_t{header->payload_bytes} : 0;
  if (bytes > group_.size()) TRY(file_->read_at(at, bytes, group_));
  if (!ours || !group_is_whole(*header, group_)) {
    return Error(Errc::corrupt, "unreadable group", file_->path(), at);
  }
  return parse_records(std::string_view(group_).substr(kGroupHeaderBytes, header->payload_bytes),
                       header->records);
}

}  // namespace clickmill::log
