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
	"github.com/munnerz/goautoneg"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// Media types of answers.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// What an answer can be turned into on request.
const (
	asTable       = "Table"
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
)

// maxAccept bounds the Accept header, in bytes.
const maxAccept = 4 << 10

// maxPretty bounds the answers that are indented for people; longer ones are sent as they are.
const maxPretty = 8 << 20

// format is the outcome of content negotiation.
type format struct {
	media   string
	as      string // empty for the resource's own kind
	include resource.IncludeObject
	pretty  bool
}

// negotiate picks the first acceptable media type in the order of preference of the Accept header. A type with
// parameters that this server does not have is passed over.
func negotiate(r *http.Request, watch bool) (format, error) {
	accept := r.Header.Get("Accept")
	if len(accept) > maxAccept {
		return format{}, api.BadRequest("the Accept header is %d bytes long, the limit is %d", len(accept), maxAccept)
	}
	f := format{media: mediaJSON, include: resource.IncludeMetadata, pretty: wantsPretty(r)}
	if accept == "" {
		return f, nil
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		media, ok := mediaOf(clause, watch)
		if !ok || clause.Q <= 0 || !f.transform(clause, media) {
			continue
		}
		f.media = media
		return f, f.includeFrom(r)
	}
	return format{}, notAcceptable(watch)
}

func mediaOf(clause goautoneg.Accept, watch bool) (string, bool) {
	switch media := clause.Type + "/" + clause.SubType; media {
	case "*/*", "application/*":
		return mediaJSON, true
	case mediaYAML:
		return media, !watch
	case mediaJSON, mediaProtobuf:
		return media, true
	}
	return "", false
}

// transform reads the parameters as, g and v. Tables exist in JSON and YAML only.
func (f *format) transform(clause goautoneg.Accept, media string) bool {
	as := clause.Params["as"]
	known := clause.Params["g"] == "meta.k8s.io" && clause.Params["v"] == "v1"
	switch as {
	case "":
		f.as = ""
		return true
	case asTable:
		f.as = as
		return known && media != mediaProtobuf
	case asPartial, asPartialList:
		f.as = as
		return known
	}
	return false
}

func (f *format) includeFrom(r *http.Request) error {
	if f.as != asTable {
		return nil
	}
	switch include := resource.IncludeObject(r.URL.Query().Get("includeObject")); include {
	case "":
	case resource.IncludeNone, resource.IncludeMetadata, resource.IncludeWhole:
		f.include = include
	default:
		return api.BadRequest("unrecognized includeObject value: %q", include)
	}
	return nil
}

func notAcceptable(watch bool) error {
	types := "application/json, application/yaml, application/vnd.kubernetes.protobuf"
	if watch {
		types = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
	}
	return api.NotAcceptable("only the following media types are accepted: %s", types)
}

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
	chunks := resource.Chunks{W: out, Buf: c.lists.get()}
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
	c.lists.put(chunks.Buf)
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
		return c.service.WriteTable(l, chunks, c.format.include, c.service.Now())
	case c.format.as == asPartialList && c.format.media == mediaProtobuf:
		return l.WritePartialProtobuf(chunks)
	case c.format.as == asPartialList:
		return l.WritePartial(chunks)
	case c.format.as != "":
		return notAcceptable(false)
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

func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, p.size)
}

func (p *bufferPool) put(b []byte) {
	if cap(b) <= p.keep {
		p.pool.Put(&b)
	}
}
