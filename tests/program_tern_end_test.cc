// When `tern connect` closes, when it connects again, and what signals do.

#include "support/running_server.h"
#include "support/tern_command.h"

#include <chrono>
#include <csignal>
#include <future>
#include <gtest/gtest.h>
#include <string>

namespace tern::test {
namespace {

// Runs the command against a server with this script.
Outcome run_with(std::function<void(Socket&)> script, Words arguments,
                 std::string_view input = {}) {
  ScriptedPeer peer(std::move(script));
  arguments.push_back(peer.url());
  return run_tern(arguments, input);
}

// ---- the end of stdin

// The server answers the question only after the Close frame of the command has come.
void answer_after_close(Socket& socket) {
  socket.upgrade();
  FrameSource frames(socket);
  Frame frame = frames.next();
  while (frame.opcode == 1) frame = frames.next();
  socket.send(text("answer"));
  socket.send(frame);
}

TEST(TernConnectEnd, WhatStillArrivesIsPrinted) {
  const Outcome outcome = run_with(answer_after_close, {}, "question\n");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "answer\n");
}

TEST(TernConnectEnd, ExitOnEofPrintsNothingMore) {
  for (const std::string flag : {"-E", "--exit-on-eof"}) {
    const Outcome outcome = run_with(answer_after_close, {flag}, "question\n");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "");
  }
}

// The command sends Close only in answer to that of the server.
TEST(TernConnectEnd, NoCloseWaitsForTheServer) {
  Words seen;
  const Outcome outcome = run_with(
      [&](Socket& socket) {
        socket.upgrade();
        FrameSource frames(socket);
        seen.push_back(frames.next_text());
        socket.send(text("answer"));
        socket.send(closing(1001, "mine"));
        seen.push_back(frames.next_text());
      },
      {"--no-close", "--json"}, "question\n");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(seen, (Words{"text question", "close 1001"}));
  EXPECT_NE(outcome.out.find("\"reason\":\"mine\",\"clean\":true,\"by_peer\":true"),
            std::string::npos)
      << outcome.out;
}

TEST(TernConnectEnd, WaitClosesAfterASilence) {
  for (const std::string flag : {"-w", "--wait"}) {
    Words seen;
    const Outcome outcome = run_with(
        [&](Socket& socket) {
          socket.upgrade();
          FrameSource frames(socket);
          seen.push_back(frames.next_text());
          socket.send(text("one"));
          const Frame close = frames.next();
          seen.push_back(to_string(close));
          socket.send(close);
        },
        {flag, "0.3", "-W", "%{time_total}"}, "question\n");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "one\n");
    EXPECT_EQ(seen, (Words{"text question", "close 1000"}));
    EXPECT_GE(std::stod(outcome.err), 0.3);
  }
}

// The server answers each ping of the command with a message, for a while. Each message starts the
// time again. A slow machine may pass the first --idle before the first message; then it is tried
// again.
TEST(TernConnectEnd, IdleCountsFromTheLastMessage) {
  constexpr double idle = 0.5;
  std::size_t received = 0;
  for (int i = 0; i < 20 && received == 0; ++i) {
    std::chrono::duration<double> until_last{};
    const Outcome outcome = run_with(
        [&](Socket& socket) {
          const auto began = std::chrono::steady_clock::now();
          socket.upgrade();
          FrameSource frames(socket);
          for (Frame frame = frames.next(); frame.opcode == 9; frame = frames.next()) {
            until_last = std::chrono::steady_clock::now() - began;
            if (until_last.count() < 0.9 * idle) socket.send(text("x"));
          }
        },
        {"--no-close", "--ping", "0.2", "--idle", std::to_string(idle), "-W",
         "%{messages_received} %{time_total}"});
    EXPECT_EQ(outcome.code, 28) << outcome.err;
    const std::string figures = outcome.err.substr(outcome.err.rfind('\n') + 1);
    received = std::stoul(figures);
    if (received == 0) continue;
    EXPECT_GE(std::stod(figures.substr(figures.find(' '))), 0.2 + idle) << outcome.err;
  }
  EXPECT_GT(received, 0u);
}

// The first connection ends before the time is over, so the second one does not begin it again.
TEST(TernConnectEnd, MaxTimeHoldsForAllConnections) {
  RunningServer running;
  running.server.route("/echo", Handlers{.on_open = [](Connection& conn) { conn.terminate(); },
                                         .on_message = [](Connection&, Message) {}});
  const std::string url = "ws://127.0.0.1:" + std::to_string(running.start()) + "/echo";
  const Outcome outcome = run_tern({"-q", "--no-close", "--retry", "--retry-max", "0.1", "-m",
                                    "0.5", "-W", "%{attempts} %{time_total}", url});
  EXPECT_EQ(outcome.code, 28);
  EXPECT_GE(std::stod(outcome.err.substr(outcome.err.find(' '))), 0.5) << outcome.err;
}

TEST(TernConnectEnd, CountWaitsForTheMessagesAndPrintsNoMore) {
  const auto five = [](Socket& socket) {
    socket.upgrade();
    for (const char* each : {"1", "2", "3", "4", "5"}) socket.send(text(each));
    answer_close(socket);
  };
  EXPECT_EQ(run_with(five, {"-1"}).out, "1\n");
  EXPECT_EQ(run_with(five, {"--one"}).out, "1\n");
  EXPECT_EQ(run_with(five, {"-N", "3"}).out, "1\n2\n3\n");
  EXPECT_EQ(run_with(five, {"--count", "5"}).out, "1\n2\n3\n4\n5\n");
  EXPECT_EQ(run_with(five, {"-N", "6", "-w", "0.2"}).out, "1\n2\n3\n4\n5\n");
}

// The messages have come, and the command still sends what comes on stdin.
TEST(TernConnectEnd, CountWaitsForTheEndOfStdin) {
  Words seen;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    socket.send(text("first"));
    FrameSource frames(socket);
    Frame frame = frames.next();
    for (; frame.opcode != 8 && frame.opcode != 15; frame = frames.next()) {
      seen.push_back(to_string(frame));
    }
    socket.send(frame);
  });
  Tern tern({"-1", peer.url()});
  EXPECT_EQ(tern->line(), "first");
  tern.type("after\n");
  tern.end_input();
  EXPECT_EQ(tern->exit_code(), 0);
  peer.join();
  EXPECT_EQ(seen, Words{"text after"});
}

TEST(TernConnectEnd, CloseFrameHasTheCodeAndTheReasonOfTheFlag) {
  EXPECT_EQ(frames_of({"--close", "4001"}), Words{"close 4001"});
  EXPECT_EQ(frames_of({"--close=4001:so long: bye"}, "a\n"),
            (Words{"text a", "close 4001 so long: bye"}));
}

// ---- connecting again

// A server whose first connections end at their first message, with 1012.
class Unsteady {
 public:
  explicit Unsteady(int unsteady) {
    running_.server.route("/echo", Handlers{.on_open =
                                                [this, unsteady](Connection& conn) {
                                                  ++opened_;
                                                  last_ = opened_ > unsteady;
                                                  conn.send(std::to_string(opened_));
                                                },
                                            .on_message =
                                                [this](Connection& conn, Message message) {
                                                  received.put(std::to_string(opened_) + ' ' +
                                                               std::string(message.text()));
                                                  if (!last_)
                                                    conn.close(CloseCode::service_restart);
                                                }});
    url = "ws://127.0.0.1:" + std::to_string(running_.start()) + "/echo";
  }

  Inbox<std::string> received{};
  std::string url{};

 private:
  int opened_ = 0;
  bool last_ = false;
  RunningServer running_{};
};

TEST(TernConnectRetry, KeepsStdinAndSendsTheFirstMessagesAgain) {
  Unsteady server(2);
  Tern tern({"--retry", "--retry-max", "0.1", "-q", "-e", "hello", server.url});
  for (const char* hello : {"1 hello", "2 hello", "3 hello"}) {
    ASSERT_EQ(server.received.take(), hello);
  }
  tern.type("typed\n");
  EXPECT_EQ(server.received.take(), "3 typed");
  tern.end_input();
  EXPECT_EQ(tern->exit_code(), 0) << tern->err();
  EXPECT_EQ(tern->out(), "1\n2\n3\n");
}

TEST(TernConnectRetry, CountGoesAcrossConnections) {
  Unsteady server(99);
  const Outcome outcome =
      run_tern({"--retry", "--retry-max", "0.1", "-N", "3", "-e", "x", "-m", "20", server.url});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "1\n2\n3\n");
}

// A line that no connection accepted goes to the next one.
TEST(TernConnectRetry, LinesTypedWhileNothingIsOpenAreSentLater) {
  Inbox<std::string> received;
  Inbox<bool> closed;
  int opened = 0;
  RunningServer running;
  running.server.route(
      "/echo",
      Handlers{.on_open =
                   [&](Connection& conn) {
                     if (++opened == 1) conn.close(CloseCode::going_away);
                   },
               .on_message = [&](Connection&,
                                 Message message) { received.put(std::string(message.text())); },
               .on_close = [&](Connection&, const CloseInfo&) { closed.put(true); }});
  const std::string url = "ws://127.0.0.1:" + std::to_string(running.start()) + "/echo";
  Tern tern({"--retry", "--retry-max", "0.2", url});
  closed.take();
  tern.type("kept\n");
  tern.end_input();
  EXPECT_EQ(received.take(), "kept");
  EXPECT_EQ(tern->exit_code(), 0);
}

TEST(TernConnectRetry, NumberBoundsTheFurtherAttempts) {
  const RefusedPort nowhere;
  const Outcome outcome =
      run_tern({"--retry=2", "--retry-max", "0.1", "-W", "%{attempts}\\n", nowhere.url()});
  EXPECT_EQ(outcome.code, 7);
  EXPECT_TRUE(outcome.err.ends_with("\n3\n")) << outcome.err;
}

// The shortest wait is 0.1 s, so each one is exactly that.
TEST(TernConnectRetry, MaxBoundsEachWait) {
  const RefusedPort nowhere;
  const Outcome outcome = run_tern({"--retry=3", "--retry-max", "0.1", nowhere.url()});
  std::size_t waits = 0;
  const std::string wait = "tern: next attempt in 0.1 s\n";
  for (std::size_t at = 0; (at = outcome.err.find(wait, at)) != std::string::npos; ++at) ++waits;
  EXPECT_EQ(waits, 3u) << outcome.err;
}

TEST(TernConnectRetry, FatalFailureIsNotTriedAgain) {
  const Outcome outcome = run_with(
      [](Socket& socket) {
        socket.receive_head();
        socket.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
      },
      {"--retry", "-m", "20", "-W", "%{attempts} %{http_code}\\n"});
  EXPECT_EQ(outcome.code, 22);
  EXPECT_TRUE(outcome.err.ends_with("\n1 403\n")) << outcome.err;
}

// ---- signals

// A server that sends one message, and answers the next frame with the same frame.
class Greeter {
 public:
  explicit Greeter(const std::string& message)
      : peer_([this, message](Socket& socket) {
          socket.upgrade();
          socket.send(text(message));
          const Frame frame = FrameSource(socket).next();
          answered_.set_value(to_string(frame));
          socket.send(frame);
        }) {}

  std::string url() const { return peer_.url(); }
  std::string answered() { return answered_.get_future().get(); }

 private:
  std::promise<std::string> answered_{};
  ScriptedPeer peer_;
};

TEST(TernConnectSignal, ClosesAndEndsWithItsNumber) {
  for (const int signo : {SIGINT, SIGTERM}) {
    Greeter peer("open");
    Tern tern({peer.url()});
    EXPECT_EQ(tern->line(), "open");
    tern->signal(signo);
    EXPECT_EQ(tern->exit_code(), 128 + signo);
    EXPECT_EQ(peer.answered(), "close 1000");
    EXPECT_EQ(tern->err(), "");
  }
}

// A server that does not answer the Close frame.
TEST(TernConnectSignal, ASecondOneEndsAtOnce) {
  for (const bool twice : {false, true}) {
    std::promise<void> close;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      socket.send(text("open"));
      FrameSource(socket).next();
      close.set_value();
      socket.receive_end();
    });
    Tern tern({peer.url(), "-W", "%{time_total}"});
    EXPECT_EQ(tern->line(), "open");
    tern->signal(SIGINT);
    close.get_future().wait();
    if (twice) tern->signal(SIGINT);
    EXPECT_EQ(tern->exit_code(), 130);
    if (!twice) {
      EXPECT_GE(std::stod(tern->err()), 1.0) << "it waits 1 s for the answer";
    }
  }
}

TEST(TernConnectSignal, EndsAnAttempt) {
  Listener silent;
  Tern tern({"-v", silent.url()});
  const Socket accepted = silent.accept();
  tern->signal(SIGINT);
  EXPECT_EQ(tern->exit_code(), 130);
}

// ---- a reader of stdout that goes

TEST(TernConnectSignal, ReaderOfStdoutMayGo) {
  Greeter peer("first");
  Process shell({"sh", "-c",
                 "{ '" + program("tern") + "' connect --no-close '" + peer.url() +
                     "' </dev/null; echo \"code $?\" >&2; } | head -n 1"});
  EXPECT_EQ(shell.exit_code(), 0);
  EXPECT_EQ(shell.out(), "first\n");
  EXPECT_EQ(shell.err(), "code 0\n");
  EXPECT_EQ(peer.answered(), "close 1000") << "nothing more had to be written";
}

}  // namespace
}  // namespace tern::test
