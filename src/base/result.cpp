#include "base/result.h"

namespace clickmill {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid: return "invalid";
    case Errc::not_found: return "not found";
    case Errc::corrupt: return "corrupt";
    case Errc::io: return "i/o error";
    case Errc::no_space: return "no space";
    case Errc::not_leader: return "not leader";
    case Errc::busy: return "busy";
    case Errc::closed: return "closed";
  }
  return "unknown";
}

Error::Error(Errc code, std::string message, std::string path, uint64_t position)
    : detail_(
          std::make_unique<Detail>(Detail{code, std::move(message), std::move(path), position})) {}

std::string Error::text() const {
  std::string out;
  if (!detail_->path.empty()) {
    out += detail_->path;
    out += ": byte " + std::to_string(detail_->position) + ": ";
  }
  out += detail_->message;
  out += " (";
  out += to_string(detail_->code);
  out += ")";
  return out;
}

Error Error::with_context(std::string_view context) && {
  detail_->message.insert(0, ": ");
  detail_->message.insert(0, context);
  return std::move(*this);
}

}  // namespace clickmill
