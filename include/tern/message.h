// What is sent and received: Message (a view), SharedMessage (encode once, send to many).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace tern {

/// The two kinds of data messages; the values are the opcodes (RFC 6455 §5.6).
enum class MessageType : std::uint8_t { text = 1, binary = 2 };

/// A view of one whole message: 16 bytes, trivially copyable. Chars are text, bytes are binary.
/// Lifetime: as what it was made of; in on_message until the handler returns.
class Message {
 public:
  /// An empty text message.
  constexpr Message() noexcept : Message(std::string_view()) {}

  /// Text from anything that converts to string_view. send() refuses what is not UTF-8 (RFC 6455
  /// §5.6).
  template <class T>
  requires std::is_convertible_v<const T&, std::string_view>
  constexpr Message(const T& text) noexcept : Message(MessageType::text, std::string_view(text)) {}

  /// Binary from anything that converts to a span of bytes.
  template <class T>
  requires(
      std::is_convertible_v<const T&, std::span<const std::byte>> &&
      !std::is_convertible_v<const T&, std::string_view>) constexpr Message(const T& bytes) noexcept
      : Message(MessageType::binary, std::span<const std::byte>(bytes)) {}

  /// Names its type.
  constexpr Message(MessageType type, std::span<const std::byte> bytes) noexcept
      : data_(bytes.data()), word_(pack(type, bytes.size())) {}

  /// Names its type, for payloads that are kept as chars.
  constexpr Message(MessageType type, std::string_view chars) noexcept
      : data_(chars.data()), word_(pack(type, chars.size())) {}

  /// Text or binary.
  constexpr MessageType type() const noexcept {
    return static_cast<MessageType>(word_ >> type_shift);
  }
  constexpr bool is_text() const noexcept { return type() == MessageType::text; }
  constexpr std::size_t size() const noexcept { return word_ & max_size; }
  constexpr bool empty() const noexcept { return size() == 0; }
  /// The payload as bytes, whatever the type.
  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(data_), size()};
  }
  /// The payload as chars, whatever the type; checked to be UTF-8 if it was received as text.
  std::string_view text() const noexcept { return {static_cast<const char*>(data_), size()}; }

 private:
  static constexpr int type_shift = 56;
  static constexpr std::uint64_t max_size = (std::uint64_t{1} << type_shift) - 1;  // beyond memory
  static constexpr std::uint64_t pack(MessageType type, std::size_t size) noexcept {
    return static_cast<std::uint64_t>(type) << type_shift | (size & max_size);
  }

  const void* data_;
  // Type and size. As bit-fields compilers take them apart wherever a message passes through.
  std::uint64_t word_;
};

static_assert(sizeof(Message) == 16 && std::is_trivially_copyable_v<Message>);

/// What became of a message that was to be sent. True: it will be sent if the connection lives.
class SendStatus {
 public:
  /// What became of it.
  enum Value : std::uint8_t {
    queued,     ///< accepted
    congested,  ///< accepted, and the queue is above limits.high_water_bytes: wait for on_drain
    full,       ///< not accepted: limits.max_queued_bytes, with Overflow::reject
    closed,     ///< not accepted: the connection closes or has ended
    not_utf8,   ///< not accepted: text that is not UTF-8 (RFC 6455 §5.6); the connection lives
  };

  constexpr SendStatus(Value value) noexcept : value_(value) {}
  constexpr explicit operator bool() const noexcept { return value_ <= congested; }
  /// For `switch`.
  constexpr Value value() const noexcept { return value_; }
  constexpr bool operator==(const SendStatus&) const noexcept = default;

 private:
  Value value_;
};

/// How one message is sent.
struct SendOptions {
  /// false: not compressed, also where compression was agreed on. For what is compressed already,
  /// and for secrets beside text that others choose (RFC 7692 §8, the CRIME attack).
  bool compress = true;
  /// false: the text is taken as UTF-8 without a look at it. By default a text that is not UTF-8 is
  /// refused, because the peer would fail the connection with 1007 (RFC 6455 §8.1). The check costs
  /// 0.02 to 0.06 ns for each byte; an echo of the message just received is never checked again.
  bool check_text = true;
};

namespace engine {
class EncodedMessage;
}

/// A message encoded once, for many connections. Copies share one immutable frame, and a second,
/// compressed one, made when the first connection without context takeover asks for it. A
/// connection with context takeover of ours compresses the message for itself.
/// Thread: any; the count is atomic.
class SharedMessage {
 public:
  /// Copies and encodes the message (RFC 6455 §5.2). Text is checked here, once: if it is not
  /// UTF-8, each send() says so, unless SendOptions::check_text is off. Throws std::bad_alloc.
  explicit SharedMessage(Message message);
  SharedMessage(const SharedMessage& other) noexcept;
  SharedMessage(SharedMessage&& other) noexcept;
  SharedMessage& operator=(SharedMessage other) noexcept;
  ~SharedMessage();

  /// The message itself. Lifetime of the view: any copy of this SharedMessage.
  Message message() const noexcept;
  /// For the engine: the frame; null only when moved from.
  const engine::EncodedMessage* encoded() const noexcept { return encoded_; }

 private:
  const engine::EncodedMessage* encoded_;
};

}  // namespace tern
