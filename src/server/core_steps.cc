// A server that a test drives step by step. It has the parts of a server that runs, without
// sockets, signals and threads.
#include "server/core.h"
#include "server/worker.h"

namespace tern::server {

Result<Worker*> Core::begin_steps() {
  if (auto checked = check(); !checked) return std::move(checked).error();
  if (stop_error_) return Error(stop_error_, "eventfd");
  if (running_.exchange(true)) return Errc::already_running;
  is_stepped_ = true;
  workers_.clear();
  workers_.push_back(std::make_unique<Worker>(*this, *metrics_.front(), 0));
  Worker& worker = *workers_.front();
  if (const auto error = worker.begin_steps()) {
    running_ = false;
    return Error(error, "start the loop");
  }
  listen_to_topics();
  {
    const std::lock_guard lock(reachable_mutex_);
    reachable_.push_back(&worker);
  }
  if (auto begun = begin_bridges(); !begun) {
    end_steps();
    return std::move(begun).error();
  }
  return &worker;
}

void Core::end_steps() noexcept {
  for (const auto& worker : workers_) worker->end_steps();
  end_run();
  running_ = false;
}

}  // namespace tern::server
