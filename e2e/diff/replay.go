package diff

import (
	"bytes"
	"context"
	"net/url"
	"regexp"
	"strings"
)

// Replay sends recorded requests to both servers, in the order they were recorded. Names of the namespace from are replaced
// by to, which must exist on both. The uids, revisions, continue tokens and hashes of documents that the recorded client had learned
// from answers are replaced by what each server has said in the same place.
func (p *Pair) Replay(ctx context.Context, r *Recording, from, to string) []Result {
	learned := [2]map[string]string{{}, {}}
	var results []Result
	for _, step := range r.steps {
		request := renamed(step.request, from, to)
		c := Case{
			Source: Recorded, Kind: "kubectl", Behaviour: subcommand(step.command),
			Name: step.command + " (" + request.Method + " " + request.Path + ")", Request: request,
		}
		kube := p.Kube.Ask(ctx, rewritten(request, learned[0]))
		ours := p.Ours.Ask(ctx, rewritten(request, learned[1]))
		results = append(results, p.judge(c, kube, ours))
		learn(step.answer.Object, kube.Object, learned[0])
		learn(step.answer.Object, ours.Object, learned[1])
	}
	return results
}

// subcommand is a command without its arguments.
func subcommand(command string) string {
	words := strings.Fields(command)
	return strings.Join(words[:min(2, len(words))], " ")
}

func renamed(r Request, from, to string) Request {
	r.Path = strings.ReplaceAll(r.Path, from, to)
	r.Body = bytes.ReplaceAll(r.Body, []byte(from), []byte(to))
	return r
}

// learn walks a recorded answer and a new one and notes which new text stands where a recorded one stood that a client repeats.
func learn(old, current any, learned map[string]string) {
	switch old := old.(type) {
	case map[string]any:
		now, ok := current.(map[string]any)
		if !ok {
			return
		}
		for key, member := range old {
			before, _ := member.(string)
			after, _ := now[key].(string)
			switch {
			case before == "" || after == "":
			case key == "uid", key == "resourceVersion", key == "continue":
				learned[key+" "+before] = after
			case key == "serverRelativeURL":
				learned["hash "+hashOf(before)] = hashOf(after)
			}
			learn(member, now[key], learned)
		}
	case []any:
		now, ok := current.([]any)
		if !ok || len(now) != len(old) {
			return
		}
		for i := range old {
			learn(old[i], now[i], learned)
		}
	}
}

// hashOf is the hash in the address of a document, or empty.
func hashOf(address string) string {
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return values.Get("hash")
}

var (
	anyUID     = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	anyVersion = regexp.MustCompile(`("resourceVersion":\s*"|resourceVersion=)(\d+)`)
	anyQuery   = regexp.MustCompile(`\b(continue|hash)=([^&]+)`)
)

// rewritten replaces what the recorded client had learned.
func rewritten(r Request, learned map[string]string) Request {
	replace := func(text string) string {
		text = anyUID.ReplaceAllStringFunc(text, func(uid string) string {
			if now, ok := learned["uid "+uid]; ok {
				return now
			}
			return uid
		})
		return anyVersion.ReplaceAllStringFunc(text, func(match string) string {
			parts := anyVersion.FindStringSubmatch(match)
			if now, ok := learned["resourceVersion "+parts[2]]; ok {
				return parts[1] + now
			}
			return match
		})
	}
	r.Path = anyQuery.ReplaceAllStringFunc(replace(r.Path), func(match string) string {
		name, value, _ := strings.Cut(match, "=")
		if now, ok := learned[name+" "+value]; ok {
			return name + "=" + url.QueryEscape(now)
		}
		return match
	})
	r.Body = []byte(replace(string(r.Body)))
	return r
}
