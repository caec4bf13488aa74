// How a connection handles its deadline, and how it ends TCP.
//
// Before the peer is judged, the connection reads what has arrived and writes what waits. The
// peer's answer may have arrived in time while this loop was busy or stopped.
#include "base/errc_kind.h"
#include "base/later.h"
#include "connection/live_connection.h"
#include "net/socket.h"

#include <algorithm>

namespace tern::connection {
namespace {

using Duration = std::chrono::nanoseconds;

// A timer that is later than this shows that the loop did not run: a handler blocked it, or the
// process was stopped.
constexpr Duration usual_lateness = std::chrono::milliseconds(100);
// If the loop was late, the peer gets this many times the lateness to answer, but at most its whole
// time limit.
constexpr int patience_for_lateness = 10;
constexpr Duration longest_lateness = std::chrono::hours(1);  // more does not count
// The time for the next turns to read input that a turn left unread.
constexpr Duration time_to_read = std::chrono::milliseconds(50);

constexpr std::uint32_t max_discarded = std::uint32_t{64} << 10;

}  // namespace

// ---- deadlines

void LiveConnection::on_timer(net::Timer::time_point now) noexcept {
  if (state_ == State::lingering) return on_linger_timer();
  engine_.advance(now);
  const auto due = engine_.deadline();
  if (due > now) return update_timer();  // it was moved after the timer was armed
  in_turn_ = true;
  blocked_ = Blocked::no;
  TurnBudget budget(environment_->core);
  if (!engine_.rests()) pump(budget);
  if (!budget.spent()) read(budget);
  flush();
  in_turn_ = false;
  if (engine_runs() && engine_.deadline() <= now) judge(due, now);
  finish_turn(budget);
}

void LiveConnection::judge(net::Timer::time_point due, net::Timer::time_point now) noexcept {
  if (deserves_time(due, now)) return;
  const bool unanswered = is_opening();
  engine_.tick(now, transport_->delivery());
  mute_ = unanswered && engine_.finished();
}

// Moves a deadline that was missed because of us. The engine allows it only a few times in a row.
// So the deadline holds even if the loop is always late or the peer never stops sending.
bool LiveConnection::deserves_time(net::Timer::time_point due,
                                   net::Timer::time_point now) noexcept {
  if (now - due > usual_lateness) {
    const auto lateness = std::min<Duration>(now - due, longest_lateness);
    return engine_.postpone(now + patience_for_lateness * lateness);
  }
  const bool reads_again = static_cast<net::Watcher*>(this)->linked();
  if (!reads_again && !net::has_input(transport_->fd())) return false;
  return engine_.postpone(now + time_to_read);
}

// ---- the end

// A close() with unread input would send RST, which may destroy what we wrote last. So we send FIN
// first, and then discard the peer's input until it sends FIN, too.
void LiveConnection::start_linger() noexcept {
  const CloseInfo& info = engine_.close_info();
  const bool parted = info.clean && environment_->shared.stopping;  // the peer sends nothing more
  const bool over = read_ended_ || parted || mute_ || base::is_abrupt(info.error);
  if (!over || info.clean) transport_->shutdown_write();
  if (over) return die();
  state_ = State::lingering;
  discarded_ = 0;
  update_interest();
  if (state_ == State::gone) return;  // epoll has no room
  wait_for_fin();
}

void LiveConnection::wait_for_fin() noexcept {
  try {
    environment_->core.timers().arm(
        *this, base::later(environment_->core.now(), environment_->shared.options.timeouts.close));
  } catch (const std::bad_alloc&) {
    die();
  }
}

// The time for the peer's FIN is over. The peer gets more time while it takes what was written.
void LiveConnection::on_linger_timer() noexcept {
  linger();
  if (state_ == State::gone) return;
  const PeerProgress delivery = transport_->delivery();
  const auto limit = environment_->shared.options.timeouts.close;
  base::Patience patience;
  const auto now = environment_->core.now();
  patience.start(now - std::min<Duration>(limit, now.time_since_epoch()));
  patience.credit(now, delivery.acknowledged - acknowledged_,
                  engine_.limits().min_drain_bytes_per_second);
  const bool all_taken = delivery.waiting == 0;
  const bool some_taken = delivery.acknowledged != acknowledged_;
  const bool fast = patience.since() == now;
  const bool goes_on = looked_ ? fast || (all_taken && some_taken) : !all_taken;
  if (!goes_on || (full_ && all_taken)) return die();
  looked_ = true;
  acknowledged_ = delivery.acknowledged;
  wait_for_fin();
}

// Discards at most 64 KiB of the peer's input. More than that stays unread until the peer has taken
// all written bytes.
void LiveConnection::linger() noexcept {
  if (transport_->has_unsent()) transport_->flush();
  if (full_) return update_interest();
  const std::span<std::byte> buffer = environment_->core.receive_buffer();
  if (buffer.empty()) return die();
  const iovec into{buffer.data(), std::min<std::size_t>(buffer.size(), max_discarded)};
  const net::Transport::Transfer got = transport_->read({&into, 1});
  discarded_ += static_cast<std::uint32_t>(got.bytes);
  const bool more =
      got.state == net::Transport::State::ok || got.state == net::Transport::State::wait_read;
  full_ = discarded_ > max_discarded;
  if (!more || (full_ && transport_->delivery().waiting == 0)) return die();
  update_interest();
}

}  // namespace tern::connection
