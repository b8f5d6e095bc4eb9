package diff

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// labelSelectors are written in every way there is, good and bad. The label app is one that seeds may have.
func labelSelectors() []string {
	return []string{
		"app", "!app", "app=web", "app==web", "app!=web", "app in (web,db)", "app notin (web)", "app in ()", "app in web", "app>1", "app<1",
		"app=web,tier!=x", "=v", "app=", "app,", ",", "bad key!", "app=bad value!", "app in (a,(b))", "-a=b", "a/b/c=d",
		"example.com/app=web", "app = web , tier",
	}
}

// fieldSelectors has the fields of all kinds: on a kind that does not know a field the refusal is compared.
func fieldSelectors() []string {
	return []string{
		"metadata.name=${item}", "metadata.name!=${item}", "metadata.namespace=${ns}", "metadata.namespace!=${ns}", "metadata.name=${item},metadata.namespace=${ns}",
		"metadata.name==x", "metadata.name", "metadata.labels.app=web", "metadata.name in (a)", "metadata.name=", "=x", "metadata.name=a,metadata.name=b", "metadata.name=a b",
		"spec.nodeName=n", "spec.restartPolicy=Always", "spec.schedulerName=s", "spec.serviceAccountName=s", "spec.hostNetwork=false", "status.phase!=Running",
		"status.podIP=", "type=Opaque", "spec.clusterIP=None", "spec.type=ClusterIP", "involvedObject.name=x", "reason=r", "source=s", "reportingComponent=c",
		"involvedObject.fieldPath=a", "status.replicas=0", "status.replicas!=1", "spec.unschedulable=true", "spec.signerName=example.com/x", "status.successful=1",
		"spec.driver=d", "spec.pool.name=p", "metadata.uid=x", "spec.parentRef.name=x", "regarding.name=x",
	}
}

// listOptions are queries of lists without a selector.
func listOptions() []string {
	return []string{
		"", "limit=1", "limit=2", "limit=0", "limit=500", "limit=-1", "limit=x", "resourceVersion=0", "resourceVersion=1", "resourceVersion=${rv}", "resourceVersion=x",
		"resourceVersion=-1", "resourceVersion=0&resourceVersionMatch=NotOlderThan", "resourceVersion=0&resourceVersionMatch=Exact",
		"resourceVersion=${rv}&resourceVersionMatch=NotOlderThan", "resourceVersion=${rv}&resourceVersionMatch=Exact", "resourceVersionMatch=Exact",
		"resourceVersionMatch=NotOlderThan", "resourceVersion=${rv}&resourceVersionMatch=Newest", "resourceVersion=${rv}&limit=1", "resourceVersion=0&limit=1",
		"resourceVersion=${rv}&resourceVersionMatch=Exact&limit=1", "resourceVersion=${rv}&resourceVersionMatch=NotOlderThan&limit=1", "continue=x", "continue=x&resourceVersion=1",
		"sendInitialEvents=true", "sendInitialEvents=false", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=true",
		"timeoutSeconds=5", "timeoutSeconds=x", "pretty=true", "pretty=false", "watch=false", "watch=0", "unknown=x",
	}
}

// watchOptions are queries of watches, each of which ends after a second.
func watchOptions() []string {
	return []string{
		"", "resourceVersion=0", "resourceVersion=${rv}", "resourceVersion=x", "allowWatchBookmarks=true", "limit=1", "continue=x", "resourceVersionMatch=NotOlderThan",
		"resourceVersion=${rv}&resourceVersionMatch=Exact", "sendInitialEvents=true", "sendInitialEvents=true&resourceVersionMatch=Exact",
		"sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
		"sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "sendInitialEvents=false", "sendInitialEvents=x", "fieldSelector=metadata.name%3D${item}",
		"fieldSelector=spec.nosuch%3Dx", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0&allowWatchBookmarks=true",
		"sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=${rv}",
	}
}

const (
	asTable        = "application/json;as=Table;v=v1;g=meta.k8s.io"
	asMetadata     = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	asMetadataList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
)

// reads are lists, watches and gets of objects that exist. Lists are of the objects of this run only.
func (b *batch) reads(item string) []Case {
	mine := onList + "%3D${ns}"
	list := b.kind.Collection("${ns}") + "?labelSelector=" + mine
	var cases []Case
	add := func(path, behaviour, name, accept string) {
		cases = append(cases, b.reading(path, behaviour, name, accept))
	}
	for _, s := range labelSelectors() {
		add(list+url.QueryEscape(","+s), "list: label selector", s, "")
	}
	for _, s := range fieldSelectors() {
		add(list+"&fieldSelector="+escaped(s), "list: field selector", s, "")
	}
	for _, o := range listOptions() {
		add(list+"&"+o, "list: options", o, "")
	}
	add(b.kind.versionPath()+"/"+b.kind.Resource+"?labelSelector="+mine, "list: options", "all namespaces", "")
	for _, accept := range []string{asTable, asMetadataList, asMetadata, "application/vnd.kubernetes.protobuf", "application/yaml"} {
		add(list, "list: forms", accept, accept)
		add(list+"&limit=1", "list: forms", "a page of "+accept, accept)
		add(item, "get: forms", accept, accept)
	}
	add(list+"&includeObject=None", "list: forms", "without objects", asTable)
	add(list+"&includeObject=Object", "list: forms", "with objects", asTable)
	for _, o := range []string{"", "resourceVersion=0", "resourceVersion=${rv}", "resourceVersion=x", "pretty=true", "limit=1", "export=true"} {
		add(item+"?"+o, "get: options", o, "")
	}
	return cases
}

// reading is a GET; an empty accept asks for JSON.
func (b *batch) reading(path, behaviour, name, accept string) Case {
	c := b.asking(http.MethodGet, path, behaviour, name, "")
	if accept != "" {
		c.Request.Header.Set("Accept", accept)
	}
	return c
}

// watches are watches of the objects of this run, if the kind can be watched.
func (b *batch) watches() []Case {
	if !slices.Contains(b.kind.Verbs, "watch") {
		return nil
	}
	watch := b.kind.Collection("${ns}") + "?labelSelector=" + onList + "%3D${ns}&watch=true&timeoutSeconds=1&"
	var cases []Case
	for _, o := range watchOptions() {
		cases = append(cases, b.reading(watch+o, "watch: options", o, ""))
	}
	return append(cases, b.reading(watch+"resourceVersion=0", "watch: forms", "table", asTable), b.reading(watch+"resourceVersion=0", "watch: forms", "metadata", asMetadata))
}

// escaped is a text for a query, in which variables stay variables.
func escaped(text string) string {
	return strings.NewReplacer("%24%7B", "${", "%7D", "}").Replace(url.QueryEscape(text))
}
