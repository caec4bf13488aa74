// The memory that the engines of one thread share. Blocks are handed out last in, first out. So a
// loop that serves its connections one after the other uses the same warm block for all of them.
#include "engine/workspace.h"

#include "crypto/digest.h"
#include "engine/kept.h"
#include "http/date.h"

#include <array>
#include <new>
#include <utility>

namespace tern {
namespace engine {

Active::Active(Memory& owner)
    : memory(&owner), in(owner.chunks(), owner.contexts()), out(owner.chunks()) {}

void Active::retire_opening() noexcept { memory->keep_opening(std::move(opening)); }

// libcrypto sets itself up at its first use, and OpenSSL 3.0 does not survive an allocation that
// fails during that. So the first use is here, before a peer can send a byte.
Memory::Memory() {
  std::array<std::byte, 4> bytes;
  if (!crypto::sha1({}) || random_.fill(bytes)) throw std::bad_alloc();
}

Memory::~Memory() {
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

void Memory::give_back(Active* active) noexcept {
  active->in.clear();
  active->out.clear();
  active->opening.reset();
  active->close = {};
  if (active->error) active->error = {};
  active->eof = false;
  active->due = Event::Kind::none;
  put_back(active);
}

void Memory::set_wall_clock(Engine::TimePoint now,
                            std::chrono::sys_time<std::chrono::nanoseconds> wall) noexcept {
  const std::chrono::nanoseconds offset = wall.time_since_epoch() - now.time_since_epoch();
  if (wall_offset_ != offset) date_begin_ = date_end_ = {};  // the clock was set
  wall_offset_ = offset;
}

void Memory::write_date(Engine::TimePoint now) noexcept {
  date_size_ = 0;
  if (!wall_offset_ || now == Engine::TimePoint::min()) return;  // the time is unknown
  const std::chrono::sys_time<std::chrono::nanoseconds> wall(now.time_since_epoch() +
                                                             *wall_offset_);
  const auto second = std::chrono::floor<std::chrono::seconds>(wall);
  date_begin_ = now - (wall - second);
  date_end_ = date_begin_ + std::chrono::seconds(1);
  const http::DateText text = http::format_date(second);
  for (const std::string_view part :
       {std::string_view("Date: "), std::string_view(text.data(), text.size()),
        std::string_view("\r\n")}) {
    date_size_ += part.copy(date_line_.data() + date_size_, date_line_.size() - date_size_);
  }
}

void DeleteKept::operator()(Kept* kept) const noexcept { delete kept; }

void ReturnActive::operator()(Active* active) const noexcept { active->memory->give_back(active); }

}  // namespace engine

Workspace::Workspace() : memory_(std::make_unique<engine::Memory>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

void Workspace::set_wall_clock(std::chrono::steady_clock::time_point now,
                               std::chrono::sys_time<std::chrono::nanoseconds> wall) noexcept {
  memory_->set_wall_clock(now, wall);
}

std::string_view Workspace::date(std::chrono::steady_clock::time_point now) noexcept {
  constexpr std::size_t name = 6;  // "Date: "
  const std::string_view line = memory_->date_line(now);
  return line.empty() ? line : line.substr(name, line.size() - name - 2);
}

}  // namespace tern
