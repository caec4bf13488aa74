// The queue of look-ups and the threads that empty it. A Question is one look-up; the wishes that
// share it are its waiters. Each Lookup object owns its waiter, and the lists only link them. So a
// cancelled wish leaves in O(1), also when ten thousand clients of one host end together.
//
// The lock is never held while a look-up runs or while foreign code runs. The threads take one
// waiter at a time, because a wish can be cancelled until its own answer is delivered.
#include "net/lookups.h"

#include "base/intrusive_list.h"
#include "net/fork_mark.h"

#include <algorithm>
#include <exception>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <signal.h>
#include <system_error>
#include <thread>
#include <utility>

namespace tern::net {

namespace {

struct WaitersTag;
struct Question;

Result<Addresses> with_port(const Result<Addresses>& found, std::uint16_t port) noexcept {
  try {
    Result<Addresses> answer = found;
    if (answer) {
      for (Address& address : *answer) address.set_port(port);
    }
    return answer;
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

}  // namespace

struct LookupWaiter : base::ListHook<WaitersTag> {
  LookupWaiter(std::uint16_t wanted_port, Lookups::Done wanted_done) noexcept
      : port(wanted_port), done(std::move(wanted_done)) {}

  std::uint16_t port;
  Lookups::Done done;
  Question* question = nullptr;  // null: answered, cancelled, or not added yet
};

namespace {

struct Question {
  enum class State { queued, runs };

  explicit Question(std::string_view name) : host(name) {}

  std::string host;
  State state = State::queued;
  base::IntrusiveList<LookupWaiter, WaitersTag> waiters{};
};

}  // namespace

class LookupQueue {
 public:
  LookupQueue(Lookups::LookUp look_up, Lookups::StartThread start_thread)
      : look_up_(std::move(look_up)), start_thread_(std::move(start_thread)) {}

  bool in_child() const noexcept { return mark_.in_child(); }

  /// Appends the waiter and starts a thread with `body` if one more is useful. Returns an error,
  /// without the waiter, if no thread runs and none can be started.
  std::error_code add(std::string_view host, LookupWaiter& waiter, UniqueFunction<void()> body) {
    const std::lock_guard lock(mutex_);
    Question& question = queued(host);
    question.waiters.push_back(waiter);
    waiter.question = &question;
    const std::size_t ready = threads_ - running_.size();  // they take from the queue soon
    if (threads_ >= Lookups::max_threads || startable() <= ready) return {};
    const std::error_code error = start(std::move(body));
    if (!error || threads_ > 0) return {};
    remove(waiter);
    return error;
  }

  bool cancel(LookupWaiter& waiter) noexcept {
    if (in_child()) return false;
    Lookups::Done dropped;  // is destroyed without the lock
    const std::lock_guard lock(mutex_);
    if (waiter.question == nullptr) return false;
    remove(waiter);
    dropped = std::move(waiter.done);
    return true;
  }

  /// The life of a thread.
  void run() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto next = std::ranges::find_if(
          queue_, [&](const Question& question) { return may_start(question.host); });
      if (next == queue_.end()) break;
      by_host_.erase(next->host);
      running_.splice(running_.end(), queue_, next);
      next->state = Question::State::runs;
      lock.unlock();
      const Result<Addresses> found = look_up(next->host);
      lock.lock();
      deliver(*next, found, lock);
      running_.erase(next);
    }
    --threads_;
  }

 private:
  using Questions = std::list<Question>;

  // A question that must wait for its host is taken by one of the threads that look up this host
  // now, because each thread looks into the queue again.
  bool may_start(std::string_view host) const noexcept {
    const auto same = std::ranges::count_if(
        running_, [&](const Question& question) { return question.host == host; });
    return static_cast<std::size_t>(same) < Lookups::max_threads_of_a_host;
  }
  // The number of questions in the queue that a further thread could take. A question that must
  // wait for its host is counted at each of the max_threads_of_a_host look-ups of that host.
  std::size_t startable() const noexcept {
    const auto holds_up = std::ranges::count_if(running_, [&](const Question& question) {
      return by_host_.contains(question.host) && !may_start(question.host);
    });
    return queue_.size() - static_cast<std::size_t>(holds_up) / Lookups::max_threads_of_a_host;
  }

  // A look-up that runs already is not joined, because it may have begun before the network came
  // back.
  Question& queued(std::string_view host) {
    if (const auto found = by_host_.find(host); found != by_host_.end()) return *found->second;
    queue_.emplace_back(host);
    try {
      by_host_.emplace(queue_.back().host, std::prev(queue_.end()));
    } catch (...) {
      queue_.pop_back();
      throw;
    }
    return queue_.back();
  }

  std::error_code start(UniqueFunction<void()> body) {
    try {
      start_thread_(std::move(body));
      ++threads_;
      return {};
    } catch (const std::system_error& failure) {
      return failure.code();
    } catch (const std::bad_alloc&) {
      return Errc::no_memory;
    }
  }

  void remove(LookupWaiter& waiter) noexcept {
    Question& question = *std::exchange(waiter.question, nullptr);
    waiter.unlink();
    if (!question.waiters.empty() || question.state == Question::State::runs) return;
    const auto found = by_host_.find(question.host);
    const Questions::iterator place = found->second;
    by_host_.erase(found);  // before its key, which is a view of the question's host
    queue_.erase(place);
  }

  // The function throws only if memory is out.
  Result<Addresses> look_up(const std::string& host) const noexcept {
    try {
      return look_up_(host);
    } catch (const std::exception&) {
      return Errc::no_memory;
    }
  }

  void deliver(Question& question, const Result<Addresses>& found,
               std::unique_lock<std::mutex>& lock) noexcept {
    while (!question.waiters.empty()) {
      LookupWaiter& waiter = question.waiters.pop_front();
      waiter.question = nullptr;
      Lookups::Done done = std::move(waiter.done);
      const std::uint16_t port = waiter.port;
      lock.unlock();  // from here on, the waiter may be gone
      done(with_port(found, port));
      done = nullptr;
      lock.lock();
    }
  }

  const ForkMark mark_{};
  const Lookups::LookUp look_up_;
  const Lookups::StartThread start_thread_;

  std::mutex mutex_{};  // guards all below, and the questions and waiters
  Questions queue_{};
  std::map<std::string_view, Questions::iterator> by_host_{};  // one for each element of queue_
  Questions running_{};  // each has a thread, which looks up or delivers
  // If the queue is not empty, a thread exists: a thread ends only when it has seen that it can
  // take no question, and a question that must wait for its host has the threads of that host.
  std::size_t threads_ = 0;
};

Lookup::Lookup() noexcept = default;

Lookup::Lookup(std::shared_ptr<LookupQueue> queue, std::unique_ptr<LookupWaiter> waiter) noexcept
    : queue_(std::move(queue)), waiter_(std::move(waiter)) {}

Lookup::Lookup(Lookup&& other) noexcept = default;

Lookup& Lookup::operator=(Lookup&& other) noexcept {
  if (this == &other) return *this;
  drop();
  queue_ = std::move(other.queue_);
  waiter_ = std::move(other.waiter_);
  return *this;
}

Lookup::~Lookup() { drop(); }

bool Lookup::cancel() noexcept { return waiter_ != nullptr && queue_->cancel(*waiter_); }

void Lookup::drop() noexcept {
  if (waiter_ == nullptr) return;
  cancel();
  if (queue_->in_child()) {
    // The waiter may be linked, and a thread of the parent may have been changing the links at the
    // fork. So the child leaves it where it is.
    static_cast<void>(waiter_.release());
  }
  waiter_.reset();
}

Lookups::Lookups(LookUp look_up, StartThread start_thread)
    : queue_(std::make_shared<LookupQueue>(std::move(look_up), std::move(start_thread))) {}

Lookup Lookups::add(std::string_view host, std::uint16_t port, Done done) {
  auto waiter = std::make_unique<LookupWaiter>(port, std::move(done));
  const auto error = queue_->add(host, *waiter, [queue = queue_] { queue->run(); });
  if (!error) return Lookup(queue_, std::move(waiter));
  waiter->done(Error(error, lookup_stage(host)));
  return {};
}

bool Lookups::in_child() const noexcept { return queue_->in_child(); }

void Lookups::start_detached(UniqueFunction<void()> body) {
  std::thread([body = std::move(body)]() mutable {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    body();
  }).detach();
}

std::string lookup_stage(std::string_view host) { return "resolve " + std::string(host); }

}  // namespace tern::net
