// While there is no broker, commands are only sorted: interest goes into the set of wanted topics,
// and publications wait. A new connection first subscribes the whole set. Then the commands run in
// the order of the loops, so a publication never overtakes the subscription that the same thread
// made before.
//
// A failure of any kind has one way out: lose(). It closes the link and plans the next attempt.
#include "bridge/machine.h"

#include "base/later.h"

#include <algorithm>
#include <new>
#include <utility>

namespace tern::bridge {
namespace {

using base::later;
using std::chrono::nanoseconds;

constexpr auto relaxed = std::memory_order_relaxed;

void add(std::atomic<std::uint64_t>& count, std::uint64_t by = 1) noexcept {
  count.fetch_add(by, relaxed);
}

}  // namespace

Machine::Machine(Link& link, Queue& queue, MachineCounts& counts, MachineSources& sources,
                 BridgeSink& sink, const BridgeOptions& bridge, const DriverOptions& options)
    : link_(link),
      queue_(queue),
      counts_(counts),
      sources_(sources),
      sink_(sink),
      bridge_(bridge),
      options_(options),
      down_since_(sources.now()),
      next_attempt_(down_since_) {
  queue_.start({bridge_.buffer_bytes, bridge_.buffer_time}, bridge_.while_down == WhileDown::buffer
                                                                ? Queue::Mode::buffers
                                                                : Queue::Mode::refuses);
}

Machine::~Machine() { counts_.wanted.store(0, relaxed); }

TimePoint Machine::step() noexcept {
  try {
    if (!up_) return step_down(sources_.now());
    step_up();
  } catch (const std::bad_alloc&) {
    lose("memory is out");
  }
  return up_ ? TimePoint() : next_attempt_;
}

void Machine::finish(TimePoint deadline) noexcept {
  try {
    while (up_ && sources_.now() < deadline) {
      queue_.take(commands_);
      if (commands_.empty()) break;
      if (const auto ran = run_commands(deadline); !ran) lose(ran.error().message());
    }
  } catch (const std::bad_alloc&) {  // the rest is dropped
  }
  queue_.set_mode(Queue::Mode::stopped);
  drop_publications();
  link_.close();
  up_ = false;
  counts_.up.store(false, relaxed);
  fail_questions();
}

// ---- without a broker

TimePoint Machine::step_down(TimePoint now) {
  const bool waits = bridge_.while_down == WhileDown::buffer && !refuses_;
  const TimePoint end = later(down_since_, bridge_.buffer_time);
  if (waits && now >= end) drop_held();
  sort_commands();
  if (now >= next_attempt_) connect();
  if (up_) return TimePoint();
  return refuses_ || !waits ? next_attempt_ : std::min(next_attempt_, end);
}

// The publications of the first seconds are old by now, and later ones are refused.
void Machine::drop_held() noexcept {
  refuses_ = true;
  queue_.set_mode(Queue::Mode::refuses);
  drop_publications();
}

void Machine::drop_publications() noexcept {
  queue_.take(commands_);
  CommandList kept;
  while (!commands_.empty()) {
    std::unique_ptr<Command> command = commands_.pop_front();
    if (command->kind != Command::Kind::publish) {
      kept.push_back(std::move(command));
      continue;
    }
    done_bytes_ += command->weight();
    add(counts_.dropped_down);
  }
  commands_.swap(kept);
  release_done();
}

// Interest goes into the set, questions are answered, publications wait.
void Machine::sort_commands() {
  queue_.take(commands_);
  CommandList held;
  try {
    while (!commands_.empty()) {
      Command& command = commands_.front();
      if (command.kind == Command::Kind::want) want(command);
      std::unique_ptr<Command> done = commands_.pop_front();
      if (done->kind == Command::Kind::unwant) wanted_.erase(done->topic);
      if (done->kind == Command::Kind::history) answer_nothing(done->topic);
      if (done->kind == Command::Kind::publish) held.push_back(std::move(done));
    }
  } catch (const std::bad_alloc&) {
    while (!commands_.empty()) held.push_back(commands_.pop_front());
    commands_.swap(held);
    throw;
  }
  commands_.swap(held);
  counts_.wanted.store(wanted_.size(), relaxed);
}

// Before the first attempt has failed, no subscriber can expect publications of the broker.
void Machine::want(const Command& command) {
  wanted_[command.topic].missed = !up_ && (was_up_ || failures_ > 0);
}

void Machine::connect() {
  const Result<void> connected = link_.connect(server_, *this);
  const TimePoint now = sources_.now();
  if (!connected) return lose(connected.error().message());
  add(counts_.connects);
  connected_at_ = last_heard_ = last_publication_ = now;
  pings_ = 0;
  probing_ = false;
  sort_commands();
  if (const auto subscribed = subscribe_wanted(); !subscribed) {
    return lose(subscribed.error().message());
  }
  up_ = was_up_ = true;
  counts_.up.store(true, relaxed);
  refuses_ = false;
  queue_.set_mode(Queue::Mode::up);
  sink_.state(BridgeState::up, link_.server_name(server_));
  report_missed();
}

Result<void> Machine::subscribe_wanted() {
  std::vector<std::string_view> batch;
  batch.reserve(std::min(options_.batch, wanted_.size()));
  auto next = wanted_.begin();
  while (next != wanted_.end()) {
    batch.clear();
    for (; next != wanted_.end() && batch.size() < options_.batch; ++next) {
      next->second.subscribed = true;
      batch.push_back(next->first);
    }
    if (auto subscribed = link_.subscribe(batch); !subscribed) return subscribed;
  }
  return link_.flush();
}

void Machine::report_missed() noexcept {
  for (auto& [topic, wanted] : wanted_) {
    if (std::exchange(wanted.missed, false)) sink_.gap(topic, GapCause::outage);
  }
}

void Machine::lose(std::string_view why) noexcept {
  const TimePoint now = sources_.now();
  link_.close();
  if (up_) {
    down_since_ = now;
    if (now - connected_at_ >= options_.longest_wait) failures_ = 0;
    const bool buffers = bridge_.while_down == WhileDown::buffer;
    queue_.set_mode(buffers ? Queue::Mode::buffers : Queue::Mode::refuses);
  }
  up_ = false;
  counts_.up.store(false, relaxed);
  add(counts_.failures);
  for (auto& [topic, wanted] : wanted_) {
    if (std::exchange(wanted.subscribed, false) && was_up_) wanted.missed = true;
    if (!was_up_) wanted.missed = true;
  }
  plan_attempt(now);
  fail_questions();
  release_done();
  try {
    const std::string name = link_.server_name(server_);
    const bool named = why.starts_with(name);
    sink_.state(was_up_ ? BridgeState::down : BridgeState::connecting,
                named ? std::string(why) : name + ": " + std::string(why));
  } catch (const std::bad_alloc&) {
    sink_.state(was_up_ ? BridgeState::down : BridgeState::connecting, "memory is out");
  }
  server_ = (server_ + 1) % std::max<std::size_t>(link_.servers(), 1);
}

// A random time, so that all servers do not come back together.
void Machine::plan_attempt(TimePoint now) noexcept {
  nanoseconds most = std::max(options_.first_wait, nanoseconds(1));
  for (unsigned i = 0; i <= failures_ && most < options_.longest_wait; ++i) most *= 2;
  most = std::max(std::min(most, options_.longest_wait), options_.first_wait);
  const auto range = static_cast<std::uint64_t>((most - options_.first_wait).count()) + 1;
  const auto more = static_cast<nanoseconds::rep>(sources_.random() % range);
  next_attempt_ = later(now, options_.first_wait + nanoseconds(more));
  ++failures_;
}

// ---- with a broker

void Machine::step_up() {
  queue_.take(commands_);
  if (const auto ran = run_commands(TimePoint::max()); !ran) return lose(ran.error().message());
  if (const auto polled = link_.poll(queue_.wake_fd(), time_to_poll()); !polled) {
    return lose(polled.error().message());
  }
  if (const auto judged = judge(); !judged) lose(judged.error().message());
}

Result<void> Machine::run_commands(TimePoint end) {
  if (commands_.empty()) return {};
  while (!commands_.empty() && (end == TimePoint::max() || sources_.now() < end)) {
    if (auto ran = run(commands_.front()); !ran) return ran;
  }
  release_done();
  counts_.wanted.store(wanted_.size(), relaxed);
  return link_.flush();
}

// Runs the first commands: one, or several of the same kind of interest. A publication is removed
// before it is sent: it reaches the broker at most once.
Result<void> Machine::run(Command& first) {
  using Kind = Command::Kind;
  const Kind kind = first.kind;
  if (kind == Kind::publish || kind == Kind::history) {
    const std::unique_ptr<Command> command = commands_.pop_front();
    return kind == Kind::publish ? publish(*command) : ask(*command);
  }
  std::vector<std::string_view> batch;
  CommandList gone;
  while (!commands_.empty() && commands_.front().kind == kind && batch.size() < options_.batch) {
    Command& command = commands_.front();
    if (kind == Kind::want) {
      want(command);
      const auto place = wanted_.find(command.topic);
      place->second.subscribed = true;
      batch.push_back(place->first);
    } else {
      wanted_.erase(command.topic);
      batch.push_back(command.topic);
    }
    gone.push_back(commands_.pop_front());
  }
  return kind == Kind::want ? link_.subscribe(batch) : link_.unsubscribe(batch);
}

Result<void> Machine::publish(const Command& command) {
  done_bytes_ += command.weight();
  Result<void> published = link_.publish(command.topic, *command.message, command.origin);
  add(published ? counts_.published : counts_.dropped_down);
  return published;
}

// Publications that were taken and not sent go on to count.
void Machine::release_done() noexcept {
  std::optional<TimePoint> oldest;
  if (!commands_.empty() && commands_.front().kind == Command::Kind::publish) {
    oldest = commands_.front().queued;
  }
  queue_.release(std::exchange(done_bytes_, 0), oldest);
}

// ---- questions for histories

Result<void> Machine::ask(const Command& command) {
  try {
    const std::lock_guard lock(questions_mutex_);
    questions_.push_back(command.topic);
  } catch (const std::bad_alloc&) {
    answer_nothing(command.topic);
    throw;
  }
  return link_.history(command.topic, command.after, command.count);
}

void Machine::answer_nothing(std::string_view topic) noexcept { sink_.history(topic, {}); }

void Machine::fail_questions() noexcept {
  std::deque<std::string> open;
  {
    const std::lock_guard lock(questions_mutex_);
    open.swap(questions_);
  }
  for (const std::string& topic : open) answer_nothing(topic);
}

void Machine::on_history(std::string_view topic, const BridgeHistory& answer) noexcept {
  {
    const std::lock_guard lock(questions_mutex_);
    const auto question = std::find(questions_.begin(), questions_.end(), topic);
    if (question == questions_.end()) return;
    questions_.erase(question);
  }
  on_alive();
  sink_.history(topic, answer);
}

// ---- signs of life

void Machine::on_publication(std::string_view topic, Message message, const Origin& origin,
                             std::optional<Position> position) noexcept {
  on_alive();
  publication_heard_.store(true, relaxed);
  add(counts_.received);
  sink_.deliver(topic, message, origin, position);
}

void Machine::on_gap(std::string_view topic, GapCause cause) noexcept { sink_.gap(topic, cause); }

void Machine::on_probe() noexcept {
  const auto sent = TimePoint(TimePoint::duration(probed_at_.load(relaxed)));
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(sources_.now() - sent);
  counts_.probe_microseconds.store(
      static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 1)), relaxed);
  on_alive();
  publication_heard_.store(true, relaxed);
}

TimePoint Machine::next_check() const noexcept {
  const TimePoint ping = later(last_heard_, options_.ping_interval * (pings_ + 1));
  const TimePoint probe = probing_ ? later(TimePoint(TimePoint::duration(probed_at_.load(relaxed))),
                                           options_.probe_timeout)
                                   : later(last_publication_, options_.probe_after);
  return std::min(ping, probe);
}

// Publications that came meanwhile wake it.
std::chrono::milliseconds Machine::time_to_poll() const noexcept {
  using std::chrono::milliseconds;
  constexpr milliseconds longest(1000);
  const auto left = std::chrono::ceil<milliseconds>(next_check() - sources_.now());
  return std::clamp(left, milliseconds(0), longest);
}

// It looks at the time after it has read, so a broker is not blamed for a pause of this process.
Result<void> Machine::judge() {
  const TimePoint now = sources_.now();
  if (heard_.exchange(false, relaxed)) {
    last_heard_ = now;
    pings_ = 0;
  }
  if (publication_heard_.exchange(false, relaxed)) {
    last_publication_ = now;
    probing_ = false;
  }
  if (now < next_check()) return {};
  return check_life(now);
}

Result<void> Machine::check_life(TimePoint now) {
  const TimePoint probed(TimePoint::duration(probed_at_.load(relaxed)));
  if (probing_ && now >= later(probed, options_.probe_timeout)) {
    return Error::described(Errc::timed_out, "a probe did not come back, so it delivers nothing");
  }
  if (now >= later(last_heard_, options_.ping_interval * (pings_ + 1))) {
    if (pings_ >= options_.missed_pings) {
      return Error::described(Errc::timed_out, "it does not answer pings");
    }
    ++pings_;
    if (auto asked = link_.ping(); !asked) return asked;
  }
  if (!probing_ && now >= later(last_publication_, options_.probe_after)) {
    probing_ = true;
    probed_at_.store(now.time_since_epoch().count(), relaxed);
    if (auto probed_again = link_.probe(); !probed_again) return probed_again;
  }
  return link_.flush();
}

}  // namespace tern::bridge
