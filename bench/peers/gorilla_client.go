// Echo load on gorilla/websocket, for the comparison with tern's client. Each connection has a goroutine,
// and one thread at a time runs them. Each has one buffer for replies. A client of gorilla masks in its
// write buffer, and a message that exceeds it becomes several frames and system calls. So the buffer has
// room for a whole message. Keys come from math/rand; WriteMessage takes a new one each time. A
// PreparedMessage would use the same key every time, which RFC 6455 §5.3 forbids. The flags stand before
// the URL.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

var (
	connections = flag.Int("connections", 1, "")
	depth       = flag.Int("depth", 1, "messages in flight on each")
	size        = flag.Int("size", 64, "bytes of a message")
	seconds     = flag.Float64("seconds", 1, "to measure, after a warm-up of 0.2 s")
	noContent   = flag.Bool("no-content", false, "do not compare contents")
	readBuffer  = flag.Int("read-buffer", 64<<10, "bytes of the buffer for reading, for each connection")
	replies     atomic.Uint64
)

func check(err error) {
	if err != nil {
		log.Fatal("gorilla_client: ", err)
	}
}

func echo(conn *websocket.Conn, payload []byte) {
	for i := 0; i < *depth; i++ {
		check(conn.WriteMessage(websocket.BinaryMessage, payload))
	}
	reply := make([]byte, len(payload)+1) // one more byte, so that the end of a reply needs no other read
	for {
		kind, reader, err := conn.NextReader()
		check(err)
		got, err := io.ReadFull(reader, reply)
		if err != io.ErrUnexpectedEOF || kind != websocket.BinaryMessage || got != len(payload) {
			log.Fatal("gorilla_client: a reply is not what was sent: ", err)
		}
		number := replies.Add(1)
		if !*noContent && number%64 == 1 && !bytes.Equal(reply[:got], payload) {
			log.Fatal("gorilla_client: a reply is not what was sent")
		}
		check(conn.WriteMessage(websocket.BinaryMessage, payload))
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// The phases are the same as in ../clients/client_program.h.
func measure() {
	const interval = 5 * time.Millisecond
	inFlight := uint64(*connections * *depth)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond ||
		(replies.Load() < inFlight && time.Since(began) < 2*time.Second); {
		time.Sleep(interval)
	}
	fmt.Println("measuring")
	began, before, cpuBefore := time.Now(), replies.Load(), cpuSeconds()
	for time.Since(began).Seconds() < *seconds || replies.Load() == before {
		if time.Since(began).Seconds() > *seconds+5 {
			log.Fatal("gorilla_client: no reply for five seconds")
		}
		time.Sleep(interval)
	}
	messages, took, cpu := replies.Load()-before, time.Since(began), cpuSeconds()-cpuBefore
	fmt.Printf("{\"messages\":%d,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n",
		messages, took.Seconds(), cpu)
}

func main() {
	runtime.GOMAXPROCS(1)
	log.SetFlags(0)
	flag.Parse()
	payload := make([]byte, *size)
	for i := range payload {
		payload[i] = byte(i*37 + i/256)
	}
	dialer := websocket.Dialer{ReadBufferSize: *readBuffer, WriteBufferSize: *size} // sets TCP_NODELAY
	conns := make([]*websocket.Conn, *connections)
	for i := range conns {
		conn, _, err := dialer.Dial(flag.Arg(0), nil)
		check(err)
		conn.SetReadLimit(int64(*size))
		conns[i] = conn
	}
	for _, conn := range conns {
		go echo(conn, payload)
	}
	measure()
}
