// If the thread of a worker cannot be started, run() names the worker, and no worker serves after
// it has returned. This program puts its own pthread_create before the C library's.
#include "tern/server.h"

#include "support/raw_client.h"
#include "support/running_server.h"

#include <atomic>
#include <cerrno>
#include <dlfcn.h>
#include <future>
#include <gtest/gtest.h>
#include <pthread.h>
#include <string>

namespace {

std::atomic<int> fails_in{-1};  // the number of threads that start before one fails; -1: all start
std::atomic<int> fired{0};

using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

}  // namespace

extern "C" {
// The function of a sanitizer, or null without one.
__attribute__((weak)) int __interceptor_pthread_create(pthread_t*, const pthread_attr_t*,  // NOLINT
                                                       void* (*)(void*), void*);

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  if (fails_in >= 0 && fails_in-- == 0) {
    ++fired;
    return EAGAIN;
  }
  if (__interceptor_pthread_create != nullptr) {
    return __interceptor_pthread_create(thread, attributes, start, argument);
  }
  static const auto real = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, start, argument);
}
}

namespace tern::test {
namespace {

using namespace std::chrono_literals;

class ServerThreads : public testing::TestWithParam<int> {};

TEST_P(ServerThreads, RunNamesTheWorkerThatCannotStart) {
  constexpr unsigned threads = 4;
  Server server({.host = "127.0.0.1", .threads = threads});
  server.route("/echo", echo());
  ASSERT_TRUE(server.listen());
  fired = 0;
  fails_in = GetParam();
  const auto ran = server.run();
  EXPECT_EQ(fired, 1);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code(), std::errc::resource_unavailable_try_again);
  const std::string who = "start worker " + std::to_string(GetParam() + 2) + " of 4: ";
  EXPECT_TRUE(ran.error().message().starts_with(who)) << ran.error().message();
  EXPECT_FALSE(RawClient(server.port()).connected()) << "no worker serves";

  // The server can run again.
  ASSERT_TRUE(server.listen());
  auto again = std::async(std::launch::async, [&server] { return server.run(); });
  for (int i = 0; i < 8; ++i) {
    RawClient client(server.port());
    ASSERT_TRUE(client.upgrade());
    client.send(text("hello"));
    EXPECT_EQ(client.next(), "text hello");
  }
  server.stop(0s);
  EXPECT_TRUE(again.get());
}

INSTANTIATE_TEST_SUITE_P(Each, ServerThreads, testing::Values(0, 1, 2));

}  // namespace
}  // namespace tern::test
