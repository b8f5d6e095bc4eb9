package diff

import (
	"maps"
	"net/http"
	"slices"
)

// deleteOptions are bodies of DELETE by what they are about. All are dry runs: what is in the query does not count for
// kube-apiserver beside a body.
func deleteOptions() map[string]string {
	return map[string]string{
		"nothing else":               `{"dryRun":["All"]}`,
		"orphan":                     `{"dryRun":["All"],"propagationPolicy":"Orphan"}`,
		"background":                 `{"dryRun":["All"],"propagationPolicy":"Background"}`,
		"foreground":                 `{"dryRun":["All"],"propagationPolicy":"Foreground"}`,
		"unknown propagation":        `{"dryRun":["All"],"propagationPolicy":"Later"}`,
		"empty propagation":          `{"dryRun":["All"],"propagationPolicy":""}`,
		"orphan dependents":          `{"dryRun":["All"],"orphanDependents":true}`,
		"no orphan dependents":       `{"dryRun":["All"],"orphanDependents":false}`,
		"orphans said twice":         `{"dryRun":["All"],"orphanDependents":true,"propagationPolicy":"Orphan"}`,
		"no grace":                   `{"dryRun":["All"],"gracePeriodSeconds":0}`,
		"half a minute of grace":     `{"dryRun":["All"],"gracePeriodSeconds":30}`,
		"negative grace":             `{"dryRun":["All"],"gracePeriodSeconds":-5}`,
		"grace as text":              `{"dryRun":["All"],"gracePeriodSeconds":"5"}`,
		"its uid":                    `{"dryRun":["All"],"preconditions":{"uid":"${uid}"}}`,
		"another uid":                `{"dryRun":["All"],"preconditions":{"uid":"00000000-0000-0000-0000-000000000000"}}`,
		"empty uid":                  `{"dryRun":["All"],"preconditions":{"uid":""}}`,
		"its version":                `{"dryRun":["All"],"preconditions":{"resourceVersion":"${rv}"}}`,
		"another version":            `{"dryRun":["All"],"preconditions":{"resourceVersion":"1"}}`,
		"its uid, another version":   `{"dryRun":["All"],"preconditions":{"uid":"${uid}","resourceVersion":"1"}}`,
		"no preconditions":           `{"dryRun":["All"],"preconditions":{}}`,
		"unknown dry run":            `{"dryRun":["Some"]}`,
		"dry run twice":              `{"dryRun":["All","All"]}`,
		"kind and version":           `{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}`,
		"version of its own group":   `{"kind":"DeleteOptions","apiVersion":"${gv}","dryRun":["All"]}`,
		"unknown version":            `{"kind":"DeleteOptions","apiVersion":"example.com/v1","dryRun":["All"]}`,
		"another kind":               `{"kind":"ListOptions","apiVersion":"v1","dryRun":["All"]}`,
		"unknown field":              `{"dryRun":["All"],"nosuch":1}`,
		"no JSON":                    `{"dryRun":["All"`,
		"a list":                     `[]`,
		"ignore store errors":        `{"dryRun":["All"],"ignoreStoreReadErrorWithClusterBreakingPotential":true}`,
		"do not ignore store errors": `{"dryRun":["All"],"ignoreStoreReadErrorWithClusterBreakingPotential":false}`,
	}
}

// deletes are dry runs of deletions, of one object and of those of this run.
func (b *batch) deletes(item string) []Case {
	list := b.kind.Collection("${ns}") + "?labelSelector=" + onList + "%3D${ns}"
	var cases []Case
	add := func(path, behaviour, name, body string) {
		cases = append(cases, b.asking(http.MethodDelete, path, behaviour, name, body))
	}
	for _, name := range slices.Sorted(maps.Keys(deleteOptions())) {
		body := Vars{"gv": b.kind.GroupVersion().String()}.Expand(deleteOptions()[name])
		add(item, "delete: options", name, body)
		add(list, "deletecollection: options", name, body)
	}
	add(b.kind.Collection("${ns}")+"/nosuch?dryRun=All", "delete: options", "what is not there", "")
	for _, query := range []string{
		"propagationPolicy=Foreground", "propagationPolicy=x", "gracePeriodSeconds=0", "gracePeriodSeconds=x", "orphanDependents=true", "gracePeriodSeconds=-1",
		"orphanDependents=true&propagationPolicy=Orphan", "fieldValidation=Strict", "resourceVersion=1",
	} {
		add(item+"?dryRun=All&"+query, "delete: query", query, "")
		add(list+"&dryRun=All&"+query, "deletecollection: query", query, "")
	}
	for _, query := range []string{
		"limit=1", "resourceVersion=0", "resourceVersion=${rv}", "resourceVersion=${rv}&resourceVersionMatch=Exact", "resourceVersionMatch=Exact", "resourceVersion=x",
		"continue=x", "fieldSelector=metadata.name%3D${item}", "fieldSelector=metadata.name!%3D${item}", "fieldSelector=spec.nosuch%3Dx", "sendInitialEvents=true",
		"watch=true", "timeoutSeconds=1", "limit=-1",
	} {
		add(list+"&dryRun=All&"+query, "deletecollection: query", query, "")
	}
	add(list+"%2Cbad+key!&dryRun=All", "deletecollection: query", "bad selector", "")
	return cases
}
