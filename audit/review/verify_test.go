package review_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/audit/review"
)

func verify(t testing.TB, s review.Source) review.Report {
	t.Helper()
	report, err := review.Verify(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWholeLogHasNoProblems(t *testing.T) {
	for name, maxSize := range map[string]int64{"one segment": 0, "many segments": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			path, files := newLog(t, 20, maxSize)
			key := string(readFile(t, path+audit.SuffixPublicKey))
			r := verify(t, review.Source{Path: path, VerifierKey: key})
			if !r.OK() || r.Records != 42 || r.First != 1 || r.Last != 42 || r.Unsigned != 0 || r.OwnKey || len(r.Files) != len(files) ||
				r.Checkpoint == nil || r.Checkpoint.Seq != 42 || !r.From.Equal(noon()) || !r.To.Equal(noon()) {
				t.Errorf("%+v", r)
			}
			if r := verify(t, review.Source{Path: path}); !r.OwnKey || !r.OK() {
				t.Errorf("with the key beside the log: %+v", r)
			}
			if r := verify(t, review.Source{Files: files[len(files)/2:]}); !r.OK() || r.Last != 42 {
				t.Errorf("some of the files: %+v", r)
			}
		})
	}
}

// mutation is one way to tamper, and what verification has to say about it: kind, file and line of the first problem.
type mutation struct {
	name   string
	change func(t *testing.T, files []string)
	kind   review.Kind
	file   int // index of the segment
	line   int
}

func mutations() []mutation {
	edit := func(file int, change func([][]byte) [][]byte) func(*testing.T, []string) {
		return func(t *testing.T, files []string) { editLines(t, files[file], change) }
	}
	return []mutation{
		{"byte of an event flipped", edit(1, func(l [][]byte) [][]byte {
			l[1] = bytes.Replace(l[1], []byte(`"alice"`), []byte(`"alicf"`), 1)
			return l
		}), review.Changed, 1, 2},
		{"first line changed", edit(0, func(l [][]byte) [][]byte {
			l[0] = bytes.Replace(l[0], []byte("gatehouse"), []byte("gatehousf"), 1)
			return l
		}), review.Changed, 0, 1},
		{"same event in another spelling", edit(1, func(l [][]byte) [][]byte {
			l[1] = bytes.Replace(l[1], []byte(`"verb":`), []byte(`"verb": `), 1)
			return l
		}), review.Changed, 1, 2},
		{"hash flipped", edit(1, func(l [][]byte) [][]byte { flipHex(l[1], len(l[1])-10); return l }), review.Changed, 1, 2},
		{"prev flipped", edit(1, func(l [][]byte) [][]byte { flipHex(l[1], len(l[1])-90); return l }), review.Changed, 1, 2},
		{"number changed", edit(0, func(l [][]byte) [][]byte {
			l[1] = bytes.Replace(l[1], []byte(`"seq":2,`), []byte(`"seq":9,`), 1)
			return l
		}), review.Changed, 0, 2},
		{"chain member removed", edit(1, func(l [][]byte) [][]byte {
			i := bytes.LastIndex(l[1], []byte(`,"gatehouse"`))
			l[1] = append(l[1][:i:i], "}\n"...)
			return l
		}), review.Malformed, 1, 2},
		{"line of text added", edit(1, func(l [][]byte) [][]byte { return slices.Insert(l, 1, []byte("hello\n")) }), review.Malformed, 1, 2},
		{"empty line added", edit(1, func(l [][]byte) [][]byte { return slices.Insert(l, 1, []byte("\n")) }), review.Malformed, 1, 2},
		{"carriage return added", edit(1, func(l [][]byte) [][]byte {
			l[1] = append(bytes.TrimSuffix(l[1], []byte("\n")), "\r\n"...)
			return l
		}), review.Malformed, 1, 2},
		{"newline removed", edit(1, func(l [][]byte) [][]byte { l[1] = bytes.TrimSuffix(l[1], []byte("\n")); return l }), review.Changed, 1, 2},
		{"line removed", edit(1, func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }), review.Missing, 1, 2},
		{"first line removed", edit(0, func(l [][]byte) [][]byte { return l[1:] }), review.Missing, 0, 1},
		{"last line of a segment removed", edit(0, func(l [][]byte) [][]byte { return l[:len(l)-1] }), review.Missing, 1, 1},
		{"segment removed", func(t *testing.T, files []string) { remove(t, files[1]) }, review.Missing, 2, 1},
		{"first segment removed", func(t *testing.T, files []string) { remove(t, files[0]) }, review.Missing, 1, 1},
		{"segment emptied", func(t *testing.T, files []string) { writeFile(t, files[1], nil) }, review.Missing, 2, 1},
		{"two lines exchanged", edit(1, func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }), review.Missing, 1, 2},
		{"segments exchanged", func(t *testing.T, files []string) {
			a, b := readFile(t, files[0]), readFile(t, files[1])
			writeFile(t, files[0], b)
			writeFile(t, files[1], a)
		}, review.Reordered, 1, 1},
		{"line repeated", edit(1, func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) }), review.Duplicate, 1, 3},
		{"old line repeated", edit(1, func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[0]) }), review.Reordered, 1, 4},
		{"lines of another segment spliced in", func(t *testing.T, files []string) {
			other := bytes.SplitAfter(readFile(t, files[2]), []byte("\n"))
			editLines(t, files[1], func(l [][]byte) [][]byte { l[1] = other[1]; return l })
		}, review.Missing, 1, 2},
		{"line of another log spliced in", func(t *testing.T, files []string) {
			_, others := newLog(t, 20, 4<<10)
			editLines(t, files[1], func(l [][]byte) [][]byte { l[1] = sameSeq(t, others, l[1]); return l })
		}, review.Spliced, 1, 2},
		{"end cut off at a line", func(t *testing.T, files []string) {
			editLines(t, files[len(files)-1], func(l [][]byte) [][]byte { return l[:1] })
		}, review.Truncated, -1, 1},
		{"active segment removed", func(t *testing.T, files []string) { remove(t, files[len(files)-1]) }, review.Truncated, -2, -1},
		{"end cut off inside a line", func(t *testing.T, files []string) {
			last := files[len(files)-1]
			data := readFile(t, last)
			writeFile(t, last, data[:len(data)-5])
		}, review.Truncated, -1, -1},
		{"chain computed anew from a line on", func(t *testing.T, files []string) { rewrite(t, files, 5) }, review.Rewritten, -1, -1},
	}
}

// sameSeq is the line of another log that has the number of this one.
func sameSeq(t *testing.T, files []string, line []byte) []byte {
	_, want, err := audit.ParseLine(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		for other := range bytes.Lines(readFile(t, name)) {
			if _, link, err := audit.ParseLine(bytes.TrimSuffix(other, []byte("\n"))); err == nil && link.Seq == want.Seq {
				return bytes.Clone(other)
			}
		}
	}
	t.Fatalf("the other log has no record %d", want.Seq)
	return nil
}

func remove(t *testing.T, name string) {
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func flipHex(line []byte, at int) {
	if line[at] == '0' {
		line[at] = '1'
	} else {
		line[at] = '0'
	}
}

// rewrite changes record seq and makes a chain without a fault from there on, as somebody does who knows the format but not the key.
func rewrite(t *testing.T, files []string, seq uint64) {
	hasher, head := audit.NewHasher(), audit.Digest{}
	for _, name := range files {
		editLines(t, name, func(lines [][]byte) [][]byte {
			for i, line := range lines {
				event, link, err := audit.ParseLine(bytes.TrimSuffix(line, []byte("\n")))
				if err != nil {
					t.Fatal(err)
				}
				if link.Seq == seq {
					event = bytes.Replace(bytes.Clone(event), []byte("alice"), []byte("mallo"), 1)
				}
				sum := hasher.Sum(head, link.Seq, event)
				lines[i] = fmt.Appendf(nil, "%s,\"gatehouse\":{\"seq\":%d,\"prev\":\"%s\",\"hash\":\"%s\"}}\n", event, link.Seq, head, sum)
				head = sum
			}
			return lines
		})
	}
}

func TestEveryMutationIsFoundAndNamed(t *testing.T) {
	path, _ := newLog(t, 20, 4<<10)
	key := string(readFile(t, path+audit.SuffixPublicKey))
	for _, m := range mutations() {
		t.Run(m.name, func(t *testing.T) {
			copied := clone(t, path)
			files, err := audit.Segments(copied)
			if err != nil || len(files) < 4 {
				t.Fatalf("%v, %v", files, err)
			}
			m.change(t, files)
			r := verify(t, review.Source{Path: copied, VerifierKey: key})
			if r.OK() {
				t.Fatal("nothing was found")
			}
			if m.file < 0 {
				m.file += len(files)
			}
			p := r.Problems[0]
			if p.Kind != m.kind || p.File != files[m.file] || (m.line > 0 && p.Line != m.line) || p.Line == 0 {
				t.Errorf("first problem is %v; want %s in line %d of %s; all: %v", p, m.kind, m.line, files[m.file], r.Problems)
			}
		})
	}
}

// TestRandomMutationsAreFound changes, removes, repeats or moves bytes and lines anywhere.
func TestRandomMutationsAreFound(t *testing.T) {
	path, _ := newLog(t, 8, 0)
	original := readFile(t, path)
	key := string(readFile(t, path+audit.SuffixPublicKey))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		mutated := bytes.Clone(original)
		a, b := r.IntN(len(mutated)), r.IntN(len(mutated))
		switch kind := r.IntN(5); kind {
		case 0:
			mutated[a] ^= byte(1 + r.IntN(255))
		case 1:
			mutated = slices.Delete(mutated, a, min(len(mutated), a+1+r.IntN(2000)))
		case 2:
			mutated = slices.Insert(mutated, a, mutated[min(a, b):max(a, b)]...)
		case 3:
			mutated = mutated[:a]
		case 4:
			lines := bytes.SplitAfter(mutated, []byte("\n"))
			x, y := r.IntN(len(lines)), r.IntN(len(lines))
			lines[x], lines[y] = lines[y], lines[x]
			mutated = slices.Concat(lines...)
		}
		if bytes.Equal(mutated, original) {
			continue
		}
		writeFile(t, path, mutated)
		report := verify(t, review.Source{Path: path, VerifierKey: key})
		if report.OK() {
			t.Fatalf("mutation %d was not found", i)
		}
		if p := report.Problems[0]; p.Line == 0 && len(mutated) > 0 {
			t.Fatalf("mutation %d is not located: %v", i, p)
		}
	}
}

func TestCheckpointProblems(t *testing.T) {
	cases := map[string]struct {
		change func(t *testing.T, path string)
		want   review.Kind
	}{
		"checkpoint removed":   {func(t *testing.T, path string) { remove(t, path+audit.SuffixCheckpoint) }, review.Checkpoint},
		"verifier key removed": {func(t *testing.T, path string) { remove(t, path+audit.SuffixPublicKey) }, review.Checkpoint},
		"whole log removed":    {func(t *testing.T, path string) { remove(t, path) }, review.Truncated},
		"checkpoint of other log": {func(t *testing.T, path string) {
			other, _ := newLog(t, 3, 0)
			copyFile(t, other, path, audit.SuffixCheckpoint)
		}, review.Checkpoint},
		"key and checkpoint of other log": {func(t *testing.T, path string) {
			other, _ := newLog(t, 3, 0)
			copyFile(t, other, path, audit.SuffixCheckpoint)
			copyFile(t, other, path, audit.SuffixPublicKey)
		}, review.Rewritten},
		"checkpoint from before the log begins": {func(t *testing.T, path string) {
			other, _ := newLog(t, 0, 0)
			copyFile(t, other, path, audit.SuffixCheckpoint)
			copyFile(t, other, path, audit.SuffixPublicKey)
			editLines(t, path, func(l [][]byte) [][]byte { return l[4:] })
		}, review.Missing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path, _ := newLog(t, 3, 0)
			c.change(t, path)
			r := verify(t, review.Source{Path: path})
			if r.OK() || r.Problems[0].Kind != c.want {
				t.Errorf("problems %v, want %s", r.Problems, c.want)
			}
		})
	}
	t.Run("log of another key than the reviewer trusts", func(t *testing.T) {
		path, _ := newLog(t, 3, 0)
		trusted, _ := newLog(t, 3, 0)
		r := verify(t, review.Source{Path: path, VerifierKey: string(readFile(t, trusted+audit.SuffixPublicKey))})
		if r.OK() || r.Problems[0].Kind != review.Checkpoint {
			t.Errorf("problems %v", r.Problems)
		}
	})
}

func copyFile(t *testing.T, from, to, suffix string) {
	writeFile(t, to+suffix, readFile(t, from+suffix))
}

func TestRecordsRemovedByRetentionAreNotMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := openLog(t, audit.Options{Path: path, MaxSizeBytes: 3 << 10, MaxBackups: 2, Clock: noon})
	for i := range 40 {
		record(t, l, "alice", "DELETE", fmt.Sprintf("/api/v1/namespaces/a/pods/p%d", i), 200, nil)
	}
	closeLog(t, l)
	r := verify(t, review.Source{Path: path})
	if !r.OK() || r.First < 2 || r.RemovedThrough != r.First-1 {
		t.Errorf("%+v", r)
	}
	files, err := audit.Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, files[0]) // somebody goes on where retention stopped
	if r := verify(t, review.Source{Path: path}); r.OK() || r.Problems[0].Kind != review.Missing || r.Problems[0].Line != 1 {
		t.Errorf("problems %v", r.Problems)
	}
}

func TestLogInUseVerifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.log")
		l := openLog(t, audit.Options{Path: path})
		record(t, l, "alice", "DELETE", "/api/v1/namespaces/a/pods/p", 200, nil)
		synctest.Wait()
		if r := verify(t, review.Source{Path: path}); !r.OK() || r.Unsigned != 2 {
			t.Errorf("within the second: %+v", r)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if r := verify(t, review.Source{Path: path}); !r.OK() || r.Unsigned != 0 {
			t.Errorf("after the second: %+v", r)
		}
		// A line that is being written.
		copied := clone(t, path)
		writeFile(t, copied, append(readFile(t, copied), `{"kind":"Ev`...))
		if r := verify(t, review.Source{Path: copied}); !r.OK() || r.TornBytes != 11 {
			t.Errorf("with half a line: %+v", r)
		}
		if r := verify(t, review.Source{Files: []string{copied}}); r.OK() || r.Problems[0].Kind != review.Torn {
			t.Errorf("without a checkpoint: %+v", r)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProblemsAreBounded(t *testing.T) {
	path, _ := newLog(t, 3, 0)
	writeFile(t, path, []byte(strings.Repeat("x\n", 5000)))
	if r := verify(t, review.Source{Path: path}); len(r.Problems) != review.MaxProblems || r.Found < 5000 {
		t.Errorf("%d problems of %d", len(r.Problems), r.Found)
	}
}

func TestSummarySaysWhatWasFound(t *testing.T) {
	path, _ := newLog(t, 3, 0)
	summary := func() string {
		var b strings.Builder
		r := verify(t, review.Source{Path: path})
		if err := r.Summary(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := `8 records in 1 files, numbers 1 to 8, from 2026-11-20T12:00:00Z to 2026-11-20T12:00:00Z
checkpoint of 2026-11-20T12:00:00Z, signed by gatehouse-audit, covers record 8; 0 records follow it
the signature was checked with the key beside the log; give a key from a trusted place to rule out that both were exchanged
the log is whole
`
	if diff := cmp.Diff(want, summary()); diff != "" {
		t.Error(diff)
	}
	editLines(t, path, func(l [][]byte) [][]byte { return slices.Delete(l, 2, 4) })
	for _, part := range []string{path + ":3: missing: records 3 to 4 are missing before this line\n", "NOT whole: "} {
		if !strings.Contains(summary(), part) {
			t.Errorf("no %q in:\n%s", part, summary())
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	if _, err := review.Verify(context.Background(), review.Source{}); err == nil {
		t.Error("nothing to verify was verified")
	}
	if _, err := review.Verify(context.Background(), review.Source{Files: []string{"/nowhere"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	path, _ := newLog(t, 1000, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := review.Verify(ctx, review.Source{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func BenchmarkVerify(b *testing.B) {
	path, _ := newLog(b, 5000, 0)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		if r := verify(b, review.Source{Path: path}); !r.OK() {
			b.Fatal(r.Problems)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
