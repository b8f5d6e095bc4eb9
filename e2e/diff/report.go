package diff

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Report counts results.
type Report struct{ Results []Result }

// Share is the part of the results of one source that are equal or accepted, from 0 to 1. A source without results has 1.
func (r Report) Share(source string) float64 {
	good, all := 0, 0
	for _, result := range r.Results {
		if result.Source == source {
			all++
			if result.Verdict == Equal || result.Verdict == Accepted {
				good++
			}
		}
	}
	if all == 0 {
		return 1
	}
	return float64(good) / float64(all)
}

// Unneeded returns the ids that no result needed.
func (r Report) Unneeded(ids []string) []string {
	used := map[string]bool{}
	for _, result := range r.Results {
		for _, id := range result.Accepted {
			used[id] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return used[id] })
}

// WriteAccepted writes how many results each accepted difference was found in.
func (r Report) WriteAccepted(w io.Writer) {
	counts := map[string]int{}
	for _, result := range r.Results {
		for _, id := range result.Accepted {
			counts[id]++
		}
	}
	for i, id := range slices.Sorted(maps.Keys(counts)) {
		if i == 0 {
			fmt.Fprint(w, "\naccepted:")
		}
		fmt.Fprintf(w, " %s in %d;", id, counts[id])
	}
	fmt.Fprintln(w)
}

// WriteCounts writes a table of verdicts, with one line for each value that by returns.
func (r Report) WriteCounts(w io.Writer, title string, by func(Result) string) {
	counts := map[string]map[Verdict]int{}
	for _, result := range r.Results {
		for _, line := range []string{by(result), "total"} {
			if counts[line] == nil {
				counts[line] = map[Verdict]int{}
			}
			counts[line][result.Verdict]++
		}
	}
	fmt.Fprintf(w, "\n%-54s %6s", title, "all")
	for _, v := range Verdicts() {
		fmt.Fprintf(w, " %9s", strings.ReplaceAll(strings.TrimSuffix(string(v), " only"), "managed fields", "managed"))
	}
	fmt.Fprintf(w, " %7s\n", "good")
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		if line != "total" {
			writeCount(w, line, counts[line])
		}
	}
	writeCount(w, "total", counts["total"])
}

func writeCount(w io.Writer, line string, of map[Verdict]int) {
	all := 0
	for _, n := range of {
		all += n
	}
	fmt.Fprintf(w, "%-54s %6d", line, all)
	for _, v := range Verdicts() {
		fmt.Fprintf(w, " %9d", of[v])
	}
	fmt.Fprintf(w, " %6.1f%%\n", 100*float64(of[Equal]+of[Accepted])/float64(max(all, 1)))
}

// class is findings that have the same signature.
type class struct {
	signature string
	results   int
	kinds     map[string]bool
	example   Result
}

// WriteClasses writes the most frequent kinds of difference, the one that concerns most results first.
func (r Report) WriteClasses(w io.Writer, limit int) {
	classes := map[string]*class{}
	for _, result := range r.Results {
		if result.Verdict != Different {
			continue
		}
		for _, s := range result.signatures() {
			if classes[s] == nil {
				classes[s] = &class{signature: s, kinds: map[string]bool{}, example: result}
			}
			classes[s].results++
			classes[s].kinds[result.Kind] = true
		}
	}
	sorted := slices.SortedFunc(maps.Values(classes), func(a, b *class) int {
		return cmp.Or(cmp.Compare(b.results, a.results), cmp.Compare(a.signature, b.signature))
	})
	fmt.Fprintf(w, "\n%d classes of differences; the most frequent:\n", len(sorted))
	for _, c := range sorted[:min(limit, len(sorted))] {
		fmt.Fprintf(w, "%6d  %s\n        in %s, e.g. %s: %s\n", c.results, c.signature, some(c.kinds), c.example.Behaviour, c.example.Name)
	}
}

func some(set map[string]bool) string {
	const shown = 4
	names := slices.Sorted(maps.Keys(set))
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// WriteDifferences writes every result that is not equal: the request and, place by place, both answers; - is the reference,
// + is Gatehouse. Accepted ones are left out.
func (r Report) WriteDifferences(w io.Writer) {
	for _, result := range r.Results {
		if result.Verdict != Equal && result.Verdict != Accepted {
			result.Write(w)
		}
	}
}

// Write writes one result.
func (r Result) Write(w io.Writer) {
	fmt.Fprintf(w, "\n== %s %s | %s | %s: %s\n", r.Source, r.Kind, r.Verdict, r.Behaviour, r.Name)
	fmt.Fprintf(w, "   %s\n", strings.ReplaceAll(strings.TrimSpace(r.Request.String()), "\n", "\n   "))
	fmt.Fprintf(w, "   kube %s, gatehouse %s\n", outcome(r.Kube), outcome(r.Ours))
	for _, f := range r.Unaccepted {
		fmt.Fprintf(w, "   @ %s\n", f.Place)
		fmt.Fprintf(w, "   - %s\n", shorten(f.Kube, shownBody))
		fmt.Fprintf(w, "   + %s\n", shorten(f.Ours, shownBody))
	}
}
