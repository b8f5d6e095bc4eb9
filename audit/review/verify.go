package review

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/audit"
)

// Kind is what is wrong at one place of a log.
type Kind string

// What Verify finds.
const (
	Changed    Kind = "changed"    // the hash of the line does not fit its bytes
	Malformed  Kind = "malformed"  // the line is no record of this log at all
	Missing    Kind = "missing"    // records before the line are not there
	Duplicate  Kind = "duplicate"  // the record was seen before
	Reordered  Kind = "reordered"  // the record belongs further up
	Spliced    Kind = "spliced"    // the line is whole, but continues another history
	Torn       Kind = "torn"       // the last line has no end
	Truncated  Kind = "truncated"  // the log ends before the record that the checkpoint signed
	Rewritten  Kind = "rewritten"  // the chain is whole, but is not the one that the checkpoint signed
	Checkpoint Kind = "checkpoint" // the checkpoint is missing or not signed by the key
)

// MaxProblems is how many problems a report lists; it counts all.
const MaxProblems = 1000

// Problem is one fault and where it is.
type Problem struct {
	File string
	Line int    // 0 if it is not in a line
	Seq  uint64 // of the record as the line says; 0 if unknown
	Kind Kind
	Text string
}

// String is one line: place, kind, text.
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, p.Line)
	}
	return fmt.Sprintf("%s: %s: %s", Escape(at), p.Kind, Escape(p.Text))
}

// Report is the result of a verification.
type Report struct {
	Files       []string
	Records     uint64 // lines that are records
	First, Last uint64 // sequence numbers; 0 if there are none
	From, To    time.Time
	// RemovedThrough is the last record that retention removed, as the log itself says.
	RemovedThrough uint64
	// Checkpoint is nil if there is none, or none that is signed by the key.
	Checkpoint *audit.Checkpoint
	// OwnKey tells that the signature was checked with the key beside the log, which whoever replaced the log could
	// have replaced as well.
	OwnKey bool
	// Unsigned is how many records follow the one that the checkpoint signed. Up to a second's worth is normal for a log in use.
	Unsigned uint64
	// TornBytes is the length of an incomplete last line beyond the checkpoint: being written, or left by a crash.
	TornBytes int
	// Problems are the first MaxProblems faults, in the order of the log; Found counts all.
	Problems []Problem
	Found    int
}

// OK reports whether no fault was found.
func (r *Report) OK() bool { return r.Found == 0 }

// Source says what to verify.
type Source struct {
	// Path is that of the log: all its segments and its checkpoint. It excludes Files.
	Path string
	// Files are segments that follow each other, without a checkpoint; the first may begin anywhere in the chain.
	Files []string
	// VerifierKey is the content of the log's .pub file, from a place that is trusted. Empty uses the file beside the log.
	VerifierKey string
}

// Verify checks a log. The error says that it could not be read; what is wrong with what was read is in the report.
func Verify(ctx context.Context, s Source) (Report, error) {
	v := verifier{hasher: audit.NewHasher()}
	names := s.Files
	if s.Path != "" {
		v.whole = true
		if err := v.readCheckpoint(s); err != nil {
			return Report{}, err
		}
	} else if len(names) == 0 {
		return Report{}, errors.New("nothing to verify: neither a path nor files")
	}
	files, err := open(s.Path, names)
	if err != nil {
		return Report{}, err
	}
	defer closeAll(files)
	for i, f := range files {
		v.report.Files = append(v.report.Files, f.Name())
		if err := v.file(ctx, f, i == len(files)-1); err != nil {
			return Report{}, err
		}
	}
	v.conclude(s.Path)
	return v.report, nil
}

// open opens all segments before any is read, so that a rotation in between cannot hide one. Where a rotation comes in between the
// listing and the opening, it starts over.
func open(path string, names []string) ([]*os.File, error) {
	for attempt := 1; ; attempt++ {
		if path != "" {
			var err error
			if names, err = audit.Segments(path); errors.Is(err, fs.ErrNotExist) {
				return nil, nil // a log that is gone is a finding
			} else if err != nil {
				return nil, err
			}
		}
		files, err := openAll(names)
		if path == "" {
			return files, err
		}
		again, errAgain := audit.Segments(path)
		if err == nil && errAgain == nil && slices.Equal(names, again) {
			return files, nil
		}
		closeAll(files)
		if attempt == 5 {
			return nil, errors.Join(errors.New("the segments of the log keep changing"), err, errAgain)
		}
	}
}

func openAll(names []string) ([]*os.File, error) {
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// verifier follows one chain through the files.
type verifier struct {
	report Report
	hasher *audit.Hasher
	whole  bool // the log from its beginning, or from where retention says
	first  place
	last   audit.Link // the newest record seen; Seq is 0 before the first
	end    place      // where that is
	signed bool       // the record that the checkpoint signed was seen
	torn   *Problem
}

type place struct {
	file string
	line int
}

func (v *verifier) problem(p Problem) {
	if v.report.Found++; len(v.report.Problems) < MaxProblems {
		v.report.Problems = append(v.report.Problems, p)
	}
}

func (v *verifier) readCheckpoint(s Source) error {
	key := s.VerifierKey
	if key == "" {
		b, err := os.ReadFile(s.Path + audit.SuffixPublicKey)
		if errors.Is(err, fs.ErrNotExist) {
			v.problem(Problem{File: s.Path + audit.SuffixPublicKey, Kind: Checkpoint, Text: "there is no verifier key, so the checkpoint cannot be checked"})
			return nil
		}
		if err != nil {
			return err
		}
		key, v.report.OwnKey = string(b), true
	}
	cp, err := audit.ReadCheckpoint(s.Path, key)
	if err != nil {
		v.problem(Problem{File: s.Path + audit.SuffixCheckpoint, Kind: Checkpoint, Text: err.Error()})
		return nil
	}
	v.report.Checkpoint = &cp
	v.signed = cp.Seq == 0
	return nil
}

func (v *verifier) file(ctx context.Context, f *os.File, last bool) error {
	lines := audit.NewLines(f)
	for {
		line, err := lines.Next()
		if lines.Number%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := Problem{File: f.Name(), Line: lines.Number}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, audit.ErrTornLine):
			at.Kind, at.Text = Torn, fmt.Sprintf("the last line has %d bytes and no end", len(line))
			if last {
				v.torn, v.report.TornBytes = &at, len(line)
			} else {
				v.problem(at)
			}
		case errors.Is(err, audit.ErrLineTooLong):
			at.Kind, at.Text = Malformed, fmt.Sprintf("the line is longer than %d bytes", audit.MaxLineBytes)
			v.problem(at)
		case err != nil:
			return err
		default:
			v.line(line, at, lines.Offset)
		}
	}
}

// line checks one line, and takes it as the one that the next has to follow unless it belongs further up.
func (v *verifier) line(line []byte, at Problem, offset int64) {
	event, link, err := audit.ParseLine(line)
	if err != nil {
		at.Kind, at.Text = Malformed, err.Error()
		v.problem(at)
		return
	}
	at.Seq = link.Seq
	v.report.Records++
	v.times(event)
	intact := v.hasher.Sum(link.Prev, link.Seq, event) == link.Hash
	if !intact {
		at.Kind, at.Text = Changed, fmt.Sprintf("record %d is not as it was written", link.Seq)
		v.problem(at)
	}
	if v.last.Seq == 0 {
		v.begin(link, at)
	} else if behind := v.follows(link, at, intact); behind {
		return
	}
	if intact {
		v.retention(event)
	}
	v.last, v.end = link, place{at.File, at.Line}
	v.report.Last = link.Seq
	v.compare(link, at, offset)
}

func (v *verifier) begin(link audit.Link, at Problem) {
	v.first, v.report.First = place{at.File, at.Line}, link.Seq
	if link.Seq == 1 && link.Prev != (audit.Digest{}) {
		at.Kind, at.Text = Spliced, "record 1 says that there is a record before it"
		v.problem(at)
	}
}

// follows compares the link with the one before. It reports true for a record that belongs further up.
func (v *verifier) follows(link audit.Link, at Problem, intact bool) (behind bool) {
	want := v.last.Seq + 1
	switch {
	case link == v.last:
		at.Kind, at.Text = Duplicate, fmt.Sprintf("record %d is here twice", link.Seq)
	case link.Seq < want:
		at.Kind, at.Text = Reordered, fmt.Sprintf("record %d comes after record %d", link.Seq, v.last.Seq)
	case link.Seq > want:
		at.Kind, at.Text = Missing, fmt.Sprintf("records %d to %d are missing before this line", want, link.Seq-1)
		if want == link.Seq-1 {
			at.Text = fmt.Sprintf("record %d is missing before this line", want)
		}
	case link.Prev != v.last.Hash && intact:
		at.Kind, at.Text = Spliced, fmt.Sprintf("record %d does not continue the record %d before it", link.Seq, v.last.Seq)
	default:
		return false
	}
	v.problem(at)
	return link.Seq < want
}

// compare holds the record against the checkpoint, if it is the one that was signed.
func (v *verifier) compare(link audit.Link, at Problem, offset int64) {
	cp := v.report.Checkpoint
	if cp == nil || v.signed || link.Seq != cp.Seq {
		return
	}
	v.signed = true
	switch {
	case link.Hash != cp.Head:
		at.Kind, at.Text = Rewritten, fmt.Sprintf("record %d is not the one that the checkpoint signed; it or records before it were written anew", link.Seq)
	case offset != cp.Size:
		at.Kind, at.Text = Rewritten, fmt.Sprintf("record %d ends at byte %d, and at %d when the checkpoint was signed", link.Seq, offset, cp.Size)
	default:
		return
	}
	v.problem(at)
}

// retention takes note of what the log says about its own removed segments.
func (v *verifier) retention(event []byte) {
	if !bytes.Contains(event, []byte(`"`+audit.AnnotationRemovedThrough+`":"`)) {
		return
	}
	var e struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(append(bytes.Clone(event), '}'), &e) != nil {
		return
	}
	if n, err := strconv.ParseUint(e.Annotations[audit.AnnotationRemovedThrough], 10, 64); err == nil {
		v.report.RemovedThrough = max(v.report.RemovedThrough, n)
	}
}

// times extends the range of the report by the time in the event, found by its member name without decoding.
func (v *verifier) times(event []byte) {
	const name = `"stageTimestamp":"`
	i := bytes.LastIndex(event, []byte(name))
	if i < 0 {
		return
	}
	value, _, ok := strings.Cut(string(event[i+len(name):min(len(event), i+len(name)+40)]), `"`)
	t, err := time.Parse(time.RFC3339Nano, value)
	if !ok || err != nil {
		return
	}
	if v.report.From.IsZero() || t.Before(v.report.From) {
		v.report.From = t
	}
	if t.After(v.report.To) {
		v.report.To = t
	}
}

// conclude judges what only the end can tell.
func (v *verifier) conclude(path string) {
	cp := v.report.Checkpoint
	if v.whole && v.report.First > 1 && v.report.RemovedThrough < v.report.First-1 {
		v.problem(Problem{
			File: v.first.file, Line: v.first.line, Seq: v.report.First, Kind: Missing,
			Text: fmt.Sprintf("the log begins at record %d, and does not say that retention removed those before", v.report.First),
		})
	}
	covered := false
	switch {
	case cp == nil:
	case v.last.Seq < cp.Seq:
		at := Problem{File: v.end.file, Line: v.end.line, Seq: v.last.Seq, Kind: Truncated}
		if at.File == "" {
			at.File = path
		}
		if v.torn != nil {
			at.File, at.Line = v.torn.File, v.torn.Line
		}
		at.Text = fmt.Sprintf("the log ends here, with record %d; the checkpoint of %s covers records up to %d",
			v.last.Seq, cp.Time.Format(time.RFC3339), cp.Seq)
		v.problem(at)
	case !v.signed && v.report.First <= cp.Seq:
		v.problem(Problem{File: path, Seq: cp.Seq, Kind: Missing, Text: fmt.Sprintf("record %d, which the checkpoint signed, is missing", cp.Seq)})
	case !v.signed:
		v.problem(Problem{File: path, Seq: cp.Seq, Kind: Checkpoint, Text: fmt.Sprintf("the checkpoint is for record %d, from before the log begins", cp.Seq)})
	default:
		covered = true
		v.report.Unsigned = v.last.Seq - cp.Seq
	}
	if v.torn != nil && !covered {
		v.problem(*v.torn)
	}
}
