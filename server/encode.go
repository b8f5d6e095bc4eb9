package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/resource"
)

// maxPretty bounds the answers that are indented for people; longer ones are sent as they are.
const maxPretty = 8 << 20

// send writes a complete answer, given as JSON or protobuf.
func (c *call) send(code int, b []byte) error {
	switch {
	case c.format.media == mediaYAML:
		y, err := yaml.JSONToYAML(b)
		if err != nil {
			return fmt.Errorf("encode YAML: %w", err)
		}
		b = y
	case c.format.media == mediaJSON && c.format.pretty && len(b) <= maxPretty:
		var indented bytes.Buffer
		if err := json.Indent(&indented, b, "", "  "); err != nil {
			return fmt.Errorf("indent: %w", err)
		}
		b = indented.Bytes()
	case c.format.media == mediaJSON:
		b = append(b, '\n')
	}
	c.w.Header().Set("Content-Type", c.format.media)
	out := &body{call: c, code: code, whole: true}
	_, err := out.Write(b)
	return errors.Join(err, out.Close())
}

// sendList streams a list. YAML and indented lists are gathered first.
func (c *call) sendList(l *resource.List) error {
	out := &body{call: c, code: http.StatusOK}
	room := c.lists.get()
	chunks := resource.Chunks{W: out, Buf: *room}
	var gathered *bytes.Buffer
	if c.format.media == mediaYAML || (c.format.pretty && c.format.media == mediaJSON && l.Bytes <= maxPretty) {
		gathered = &bytes.Buffer{}
		chunks.W = gathered
	} else {
		c.w.Header().Set("Content-Type", c.format.media)
	}
	if err := c.writeList(l, &chunks); err != nil {
		return err // A compressed answer stays unfinished, which the client notices.
	}
	// Not after an error: a stream that was reset while it was written may still be read from the buffer.
	c.lists.put(room, chunks.Buf)
	if gathered == nil {
		return out.Close()
	}
	return c.send(http.StatusOK, bytes.TrimSuffix(gathered.Bytes(), []byte("\n")))
}

// minCompressed is the length from which an answer is compressed, in bytes: below, the time is better spent elsewhere.
const minCompressed = 128 << 10

// body writes an answer, compressed if it is long and the client wants that. What its first Write is given decides, as a list that fits
// into one chunk is written at once.
type body struct {
	*call
	code  int
	whole bool // the first Write is given everything
	began bool
	zip   *gzip.Writer
}

// Write writes a part of the answer.
func (b *body) Write(p []byte) (int, error) {
	if !b.began {
		b.began = true
		h := b.w.Header()
		switch {
		case len(p) > minCompressed && acceptsGzip(b.r):
			h.Set("Content-Encoding", "gzip")
			h.Add("Vary", "Accept-Encoding")
			b.zip = b.gzipWriter(b.w)
		case b.whole:
			h.Set("Content-Length", strconv.Itoa(len(p)))
		}
		b.w.WriteHeader(b.code)
	}
	if b.zip != nil {
		return b.zip.Write(p)
	}
	return b.w.Write(p)
}

// Close ends a compressed answer.
func (b *body) Close() error {
	if b.zip == nil {
		return nil
	}
	err := b.zip.Close()
	b.zippers.Put(b.zip)
	return err
}

// gzipWriter takes a writer of the lowest level from the pool.
func (s *REST) gzipWriter(w io.Writer) *gzip.Writer {
	if z, ok := s.zippers.Get().(*gzip.Writer); ok {
		z.Reset(w)
		return z
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return gzip.NewWriter(w) // Not reachable: the level is a valid one.
	}
	return z
}

func (c *call) writeList(l *resource.List, chunks *resource.Chunks) error {
	switch {
	case c.format.as == asTable:
		return c.service.WriteTable(l, chunks, c.format.table, c.service.Now())
	case c.format.as == asPartialList && c.format.media == mediaProtobuf:
		return l.WritePartialProtobuf(chunks)
	case c.format.as == asPartialList:
		return l.WritePartial(chunks, c.format.table.Version)
	case c.format.as != "":
		return notOfShape("you requested PartialObjectMetadata, but the requested object is a list")
	case c.format.media == mediaProtobuf:
		return l.WriteProtobuf(chunks)
	}
	return l.WriteJSON(chunks)
}

// bufferPool hands out empty buffers. One is given back only after everything in it was written without an error, see sendList.
type bufferPool struct {
	size, keep int // bytes of a new buffer, and at most of one that is kept: none grows out of proportion
	pool       sync.Pool
}

// get returns an empty buffer behind a pointer, which goes back with it.
func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, p.size)
	return &b
}

// put takes back what get returned, and what has become of the buffer.
func (p *bufferPool) put(from *[]byte, b []byte) {
	if cap(b) <= p.keep {
		*from = b[:0]
		p.pool.Put(from)
	}
}
