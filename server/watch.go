package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

const (
	// maxWatch bounds what a watch asks for, so that none is for ever; the spread of minWatch comes on top, for the same reason.
	// kube-apiserver takes any timeoutSeconds. Clients go on from the end of a watch as from any other.
	maxWatch = time.Hour
	// minWatch is how long a watch lives that does not say; the actual time is spread up to twice that, so that the watches of a
	// restarted server do not end together.
	minWatch = 30 * time.Minute
	// watchWrite bounds one write to a watcher. A client that does not read for so long is cut off; until then it holds one batch
	// and its place in the history, nothing else.
	watchWrite = 30 * time.Second
	// watchBatchBytes is how much of a batch is gathered before it is written.
	watchBatchBytes = 64 << 10
	// maxIdleFrames bounds the buffer that a watch keeps while it waits.
	maxIdleFrames = 128 << 10
)

// watch streams changes until the client, the timeout or the server ends it.
func (c *call) watch(ctx context.Context) error {
	options, err := resource.ParseListOptions(c.r.URL.Query())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, watchTime(options.Timeout, c.MinWatch))
	defer cancel()
	if c.format.as == asPartialList {
		return notAcceptable(true)
	}
	overSocket := wantsSocket(c.r)
	if overSocket {
		if err := checkSocket(c.r); err != nil {
			return err
		}
	}
	release, err := c.seat.Hold()
	if err != nil {
		return err
	}
	defer release()
	watch, err := c.service.Watch(ctx, c.permit, options)
	expired := errorFor(err, http.StatusGone)
	if err != nil && expired == nil {
		return err
	}
	if watch != nil {
		c.seat.Charge(watch.InitialBytes()) // It costs what a list of them would.
	}
	c.seat.Release()
	stream := &watchStream{call: c, sent: func(int) {}}
	defer stream.close()
	if watch != nil {
		stream.sent = c.events.of(watch.Type)
	}
	if overSocket {
		ws, err := c.openSocket(cancel)
		if err != nil {
			return err
		}
		defer ws.close()
		c.record.ResponseStarted(http.StatusSwitchingProtocols)
		stream.send, stream.batch = ws.send, 1
	} else if err := stream.begin(); err != nil {
		return err
	}
	if expired != nil {
		return stream.fail(expired)
	}
	return stream.run(ctx, watch)
}

// watchTime is how long a watch lives that asks for so much; 0 leaves it to the server.
func watchTime(asked, least time.Duration) time.Duration {
	least = cmp.Or(least, minWatch)
	spread := rand.N(least) //nolint:gosec // The spread needs no secrecy.
	switch {
	case asked <= 0:
		return least + spread
	case asked > maxWatch:
		return maxWatch + spread
	}
	return asked
}

// errorFor returns the API error in err if it has the code.
func errorFor(err error, code int) *api.Error {
	var e *api.Error
	if errors.As(err, &e) && e.Code() == code {
		return e
	}
	return nil
}

// watchStream writes the frames of one watch.
type watchStream struct {
	*call
	control     *http.ResponseController // nil over a WebSocket
	bound       *writeBound              // of each write; nil over a WebSocket
	send        func(frames []byte) error
	batch       int    // how many bytes are gathered before they are written
	frames      []byte // gathered, to be written together
	scratch     []byte
	sentColumns bool
	sent        func(size int) // counts an event
}

// begin starts the answer of a watch that is not over a WebSocket.
func (s *watchStream) begin() error {
	s.control, s.send, s.batch = http.NewResponseController(s.w), s.write, watchBatchBytes
	s.record.ResponseStarted(http.StatusOK)
	if s.format.media == mediaProtobuf {
		s.w.Header().Set("Content-Type", mediaProtobuf+";stream=watch")
	} else {
		s.w.Header().Set("Content-Type", mediaJSON)
	}
	s.w.WriteHeader(http.StatusOK)
	s.bound = boundWrites(watchWrite, s.cut)
	// The request was authorized and has no body (see exchange.parse), so all that is to be read is the end of the connection.
	return errors.Join(supported(s.control.SetReadDeadline(time.Time{})), supported(s.control.SetWriteDeadline(time.Time{})))
}

// cut makes a write that is under way fail, and all later ones.
func (s *watchStream) cut() {
	// Where deadlines are not supported nothing can be done about a write.
	_ = s.control.SetWriteDeadline(time.Unix(1, 0))
}

// close is called before the handler returns.
func (s *watchStream) close() {
	if s.bound != nil {
		s.bound.close()
	}
}

func (s *watchStream) run(ctx context.Context, w *resource.Watch) error {
	if err := s.flush(); err != nil { // the header, so that the client knows the watch stands
		return err
	}
	changes := make([]resource.Change, 0, 16)
	for {
		var err error
		changes, err = w.Next(ctx, changes)
		var e *api.Error
		switch {
		case ctx.Err() != nil:
			return s.end(ctx, w)
		case errors.As(err, &e):
			return s.fail(e)
		case err != nil:
			return err
		}
		for _, change := range changes {
			if err := s.append(w.Type, change); err != nil {
				return err
			}
			if len(s.frames) >= s.batch {
				if err := s.flush(); err != nil {
					return err
				}
			}
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

// end closes a watch whose time is over with a last bookmark, from which the client can go on. One that was ended for a
// reason, such as a credential that was revoked, tells it.
func (s *watchStream) end(ctx context.Context, w *resource.Watch) error {
	if reason := errorFor(context.Cause(ctx), http.StatusUnauthorized); reason != nil {
		return s.fail(reason)
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !w.WantsBookmarks() {
		return nil
	}
	if last := w.Bookmark(); last.Type != "" {
		if err := s.append(w.Type, last); err != nil {
			return err
		}
	}
	return s.flush()
}

// fail sends an error inside the stream, as watches tell that they cannot go on.
func (s *watchStream) fail(e *api.Error) error {
	status := e.Status
	status.Kind, status.APIVersion = "Status", "v1"
	if s.format.media == mediaProtobuf {
		raw, err := status.Marshal()
		if err != nil {
			return fmt.Errorf("encode status: %w", err)
		}
		s.scratch = resource.AppendEnvelopeEnd(append(resource.AppendEnvelope(s.scratch[:0], "v1", "Status", len(raw)), raw...))
	} else {
		b, err := json.Marshal(&status)
		if err != nil {
			return fmt.Errorf("encode status: %w", err)
		}
		s.scratch = append(s.scratch[:0], b...)
	}
	s.frame("ERROR")
	return s.flush()
}

// append encodes one change as a frame.
func (s *watchStream) append(t *resource.Type, change resource.Change) (err error) {
	before := len(s.frames)
	defer func() {
		if change.Item != nil {
			s.sent(len(s.frames) - before)
		}
	}()
	if s.format.media == mediaJSON && change.Item != nil && s.format.as == "" {
		// The common case goes straight into the output, without the copy through scratch.
		s.frames = append(append(append(s.frames, `{"type":"`...), change.Type...), `","object":`...)
		s.frames = append(t.AppendObject(s.frames, change.Item), "}\n"...)
		return nil
	}
	s.scratch, err = s.object(s.scratch[:0], t, change)
	if err != nil {
		return err
	}
	s.frame(change.Type)
	return nil
}

// object encodes the object of a change in the negotiated form.
func (s *watchStream) object(b []byte, t *resource.Type, change resource.Change) ([]byte, error) {
	bookmark := change.Item == nil
	switch {
	case s.format.as == asTable:
		definitions := !s.sentColumns
		s.sentColumns = true
		if bookmark {
			return t.AppendTableBookmark(b, change, s.format.table, definitions, s.service.Now())
		}
		return s.service.AppendTable(b, t, change.Item, s.format.table, definitions, s.service.Now())
	case s.format.as == asPartial && s.format.media == mediaProtobuf && bookmark:
		return t.AppendPartialProtobufBookmark(b, change)
	case s.format.as == asPartial && s.format.media == mediaProtobuf:
		return t.AppendPartialProtobuf(b, change.Item)
	case s.format.as == asPartial && bookmark:
		return t.AppendPartialBookmark(b, change, s.format.table.Version)
	case s.format.as == asPartial:
		return t.AppendPartial(b, change.Item, s.format.table.Version), nil
	case s.format.media == mediaProtobuf && bookmark:
		return t.AppendProtobufBookmark(b, change)
	case s.format.media == mediaProtobuf:
		return t.AppendProtobuf(b, change.Item)
	case bookmark:
		return t.AppendBookmark(b, change)
	}
	return t.AppendObject(b, change.Item), nil
}

// frame wraps what is in scratch as a watch event and adds it to the output: a line in JSON, and in protobuf the
// message behind its length, without the envelope that other documents have: only the object inside has one.
func (s *watchStream) frame(eventType string) {
	if s.format.media != mediaProtobuf {
		s.frames = append(append(append(s.frames, `{"type":"`...), eventType...), `","object":`...)
		s.frames = append(append(s.frames, s.scratch...), "}\n"...)
		return
	}
	raw := protowire.SizeTag(1) + protowire.SizeBytes(len(s.scratch))
	start := len(s.frames)
	s.frames = append(s.frames, make([]byte, frameLength)...)
	s.frames = protowire.AppendString(protowire.AppendTag(s.frames, 1, protowire.BytesType), eventType)
	s.frames = protowire.AppendVarint(protowire.AppendTag(s.frames, 2, protowire.BytesType), uint64(raw))
	s.frames = protowire.AppendBytes(protowire.AppendTag(s.frames, 1, protowire.BytesType), s.scratch)
	binary.BigEndian.PutUint32(s.frames[start:], uint32(len(s.frames)-start-frameLength)) //nolint:gosec // A frame is far below 4 GiB.
}

// frameLength is how many bytes the length of a frame of protobuf takes.
const frameLength = 4

// flush sends what is gathered.
func (s *watchStream) flush() error {
	err := s.send(s.frames)
	if s.frames = s.frames[:0]; cap(s.frames) > maxIdleFrames {
		s.frames = nil
	}
	return err
}

// write sends frames, which may be none, in the answer.
func (s *watchStream) write(frames []byte) error {
	return s.bound.during(func() error {
		if len(frames) > 0 {
			if _, err := s.w.Write(frames); err != nil {
				return err
			}
		}
		return s.control.Flush()
	})
}
