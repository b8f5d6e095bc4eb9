package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	podsPath = "/api/v1/namespaces/default/pods"
	mapsPath = "/api/v1/namespaces/default/configmaps"
	rbacPath = "/apis/rbac.authorization.k8s.io/v1/"
	authPath = "/apis/authorization.k8s.io/v1/"

	asTable     = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	jsonPatch   = "Content-Type: application/json-patch+json"
	mergePatch  = "Content-Type: application/merge-patch+json"
	stratePatch = "Content-Type: application/strategic-merge-patch+json"
)

// questions are all of them, in the order in which they are asked.
func questions() []question {
	return slices.Concat(
		pathQuestions(), identityQuestions(), reviewQuestions(), bodyQuestions(), metadataQuestions(),
		updateQuestions(), patchQuestions(), listQuestions(), tableQuestions(), watchQuestions(), deleteQuestions(),
	)
}

func get(name, path string, header ...string) question {
	return question{name: name, method: http.MethodGet, path: path, header: header}
}

func post(name, path, body string, header ...string) question {
	return question{name: name, method: http.MethodPost, path: path, body: body, header: header}
}

func put(name, path, body string) question {
	return question{name: name, method: http.MethodPut, path: path, body: body}
}

func patch(name, path, kind, body string) question {
	return question{name: name, method: http.MethodPatch, path: path, body: body, header: []string{kind}}
}

func remove(name, path, body string) question {
	return question{name: name, method: http.MethodDelete, path: path, body: body}
}

func as(user string, q question) question {
	q.as = user
	return q
}

func podJSON(name, spec string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `"},"spec":{` + spec + `"containers":[{"name":"c","image":"nginx:1.27"}]}}`
}

func mapJSON(name, meta string) string {
	return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"` + meta + `},"data":{"a":"b"}}`
}

func pathQuestions() []question {
	return []question{
		get("a missing pod", podsPath+"/nosuch"),
		get("a missing namespace", "/api/v1/namespaces/nosuch"),
		get("a list in a missing namespace", "/api/v1/namespaces/nosuch/pods"),
		get("an unknown path", "/nosuch"),
		get("an unknown resource", "/api/v1/namespaces/default/nosuch"),
		get("an unknown resource of a group", "/apis/apps/v1/namespaces/default/nosuch"),
		get("an unknown subresource", podsPath+"/web/nosuch"),
		get("an unknown version", "/apis/apps/v9"),
		get("an unknown group", "/apis/nosuch.example.com"),
		get("a path with empty segments", "/api//v1/namespaces"),
		get("an encoded slash in a name", mapsPath+"/a%2Fb"),
		{name: "an unknown method", method: "FROB", path: podsPath},
		post("a POST on one object", podsPath+"/web", podJSON("web", "")),
		put("a PUT on a collection", podsPath, podJSON("web", "")),
		get("health", "/healthz"),
		get("one health check", "/livez/ping"),
		get("an unknown health check", "/livez/nosuch"),
		get("the root", "/api/"),
	}
}

func identityQuestions() []question {
	return []question{
		as("forger", get("a forged token", podsPath)),
		as("anonymous", get("health for nobody", "/livez")),
		as("viewer", get("pods for who may read them", podsPath+"/web")),
		as("viewer", post("a create by who may read", podsPath, podJSON("x", ""))),
		as("viewer", remove("a delete by who may read", podsPath+"/web", "")),
		as("viewer", get("a list across namespaces by who may read one", "/api/v1/pods")),
		as("viewer", get("a node by who may not", "/api/v1/nodes/node-1")),
		as("viewer", put("a subresource by who may not", podsPath+"/web/status", "{}")),
		as("viewer", get("another group by who may not", "/apis/apps/v1/namespaces/default/deployments/deploy")),
		as("viewer", get("metrics by who may not", "/metrics")),
		as("viewer", get("an unknown resource by who may not", "/apis/nosuch.io/v1/foos")),
		as("viewer", get("impersonation by who may not", podsPath, "Impersonate-User: admin")),
		get("impersonation", podsPath+"/web", "Impersonate-User: viewer"),
		get("impersonation of who may not", podsPath, "Impersonate-User: nobody", "Impersonate-Group: g"),
		get("impersonation of groups alone", podsPath, "Impersonate-Group: g"),
		post("who am I", "/apis/authentication.k8s.io/v1/selfsubjectreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`, "Impersonate-User: viewer"),
		post("a review of a good token", "/apis/authentication.k8s.io/v1/tokenreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"viewer-token"}}`),
		post("a review of a forged token", "/apis/authentication.k8s.io/v1/tokenreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"nosuch"}}`),
		post("a review of no token", "/apis/authentication.k8s.io/v1/tokenreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}`),
		post("a token that lives too short", "/api/v1/namespaces/default/serviceaccounts/sa/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":60}}`),
		post("a token of nobody", "/api/v1/namespaces/default/serviceaccounts/nosuch/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`),
		post("a token bound to a missing pod", "/api/v1/namespaces/default/serviceaccounts/sa/token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"nosuch"}}}`),
	}
}

func reviewQuestions() []question {
	review := func(name, kind, path, spec string, header ...string) question {
		return post(name, path, `{"apiVersion":"authorization.k8s.io/v1","kind":"`+kind+`","spec":`+spec+`}`, header...)
	}
	const any, self = "SubjectAccessReview", "SelfSubjectAccessReview"
	return []question{
		review("a review that allows", any, authPath+"subjectaccessreviews", `{"user":"viewer","resourceAttributes":{"namespace":"default","verb":"get","resource":"pods","name":"web"}}`),
		review("a review that denies", any, authPath+"subjectaccessreviews", `{"user":"viewer","resourceAttributes":{"namespace":"default","verb":"delete","resource":"pods"}}`),
		review("a review of a path", any, authPath+"subjectaccessreviews", `{"user":"viewer","groups":["system:authenticated"],"nonResourceAttributes":{"path":"/openapi/v3","verb":"get"}}`),
		review("a review of two things", any, authPath+"subjectaccessreviews", `{"user":"v","nonResourceAttributes":{"path":"/x","verb":"get"},"resourceAttributes":{"verb":"get"}}`),
		review("a review of nothing", any, authPath+"subjectaccessreviews", `{}`),
		review("a local review", "LocalSubjectAccessReview", authPath+"namespaces/default/localsubjectaccessreviews", `{"user":"viewer","resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}`),
		review("a local review of elsewhere", "LocalSubjectAccessReview", authPath+"namespaces/default/localsubjectaccessreviews", `{"user":"viewer","resourceAttributes":{"namespace":"kube-system","verb":"get","resource":"pods"}}`),
		review("a review of oneself", self, authPath+"selfsubjectaccessreviews", `{"resourceAttributes":{"namespace":"default","verb":"get","resource":"pods"}}`, "Impersonate-User: viewer"),
		review("rules without a namespace", "SelfSubjectRulesReview", authPath+"selfsubjectrulesreviews", `{}`),
		post("a role editor", rbacPath+"clusterroles", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"editor"},"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles","clusterrolebindings"],"verbs":["create","update"]}]}`),
		post("the role of no rules", rbacPath+"clusterroles?dryRun=All", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"bad"},"rules":[{"resources":["pods"],"verbs":[]}]}`),
		post("a namespaced role for paths", rbacPath+"namespaces/default/roles?dryRun=All", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"bad"},"rules":[{"nonResourceURLs":["/x"],"verbs":["get"]}]}`),
		put("another role in a binding", rbacPath+"clusterrolebindings/crb", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"crb"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[]}`),
	}
}

func bodyQuestions() []question {
	const strict, warn = "?fieldValidation=Strict", "?dryRun=All&fieldValidation=Warn"
	return []question{
		post("half of an object", podsPath, `{"apiVersion":"v1",`),
		post("an array", podsPath, `[]`),
		post("a word", podsPath, `hello`),
		post("another kind", podsPath, mapJSON("x", "")),
		post("another version", podsPath, strings.Replace(podJSON("x", ""), `"v1"`, `"v2"`, 1)),
		post("a number for a string", podsPath, strings.Replace(podJSON("x", ""), `"nginx:1.27"`, `1`, 1)),
		post("a string for a number", podsPath, podJSON("x", `"priority":"1",`)),
		post("an unknown field, strict", podsPath+strict, podJSON("x", `"bogus":1,`)),
		post("an unknown field, warn", podsPath+warn, podJSON("x", `"bogus":1,`)),
		post("an unknown field", mapsPath+"?dryRun=All", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"bogus":1}`),
		post("a field twice, strict", podsPath+strict, podJSON("x", `"nodeName":"a","nodeName":"b",`)),
		post("a field twice, warn", mapsPath+warn, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b"},"data":{"a":"c"}}`),
		post("a field in the wrong case, strict", mapsPath+strict, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"casey"},"Data":{"a":"b"}}`),
		post("an unknown kind of validation", podsPath+"?fieldValidation=Foo", podJSON("x", "")),
		post("YAML", mapsPath, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: fromyaml\ndata:\n  a: b\n", "Content-Type: application/yaml"),
		post("YAML with a field twice, strict", mapsPath+strict, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\nbogus: 1\ndata:\n  a: b\n  a: c\n", "Content-Type: application/yaml"),
		get("an answer in YAML", mapsPath+"/fromyaml", "Accept: application/yaml"),
		post("plain text", podsPath, podJSON("x", ""), "Content-Type: text/plain"),
		get("an answer in HTML", podsPath, "Accept: text/html"),
		get("an answer as something unknown", podsPath, "Accept: application/json;as=Frob;g=meta.k8s.io;v=v1"),
		get("metadata only", mapsPath+"/cm", "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
		get("metadata of a list only", mapsPath, "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
		post("a body over the limit", mapsPath, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"`+strings.Repeat("x", 3<<20)+`"}}`),
	}
}

func metadataQuestions() []question {
	return []question{
		post("a bad name", mapsPath, mapJSON("Bad_Name", "")),
		post("a bad namespace name", "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a.b"}}`),
		post("no name", mapsPath, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}`),
		post("a name that is too long", mapsPath, mapJSON(strings.Repeat("a", 254), "")),
		post("a bad label name", mapsPath, mapJSON("x", `,"labels":{"-bad":"ok"}`)),
		post("a bad label value", mapsPath, mapJSON("x", `,"labels":{"ok":"not ok!"}`)),
		post("a bad annotation", mapsPath, mapJSON("x", `,"annotations":{"bad key":"x"}`)),
		post("a bad finalizer", mapsPath, mapJSON("x", `,"finalizers":["a b"]`)),
		post("a bad owner", mapsPath, mapJSON("x", `,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"","uid":""}]`)),
		post("another namespace than the path's", mapsPath, mapJSON("x", `,"namespace":"other"`)),
		post("a namespace that is missing", "/api/v1/namespaces/nosuch/configmaps", mapJSON("x", "")),
		post("a resource version on create", mapsPath, mapJSON("x", `,"resourceVersion":"5"`)),
		post("fields of the server", mapsPath+"?dryRun=All", mapJSON("x", `,"uid":"abc","generation":7,"creationTimestamp":"2001-01-01T00:00:00Z","selfLink":"/x"`)),
		post("a name that is taken", mapsPath, mapJSON("cm", "")),
		post("a config map", mapsPath, mapJSON("probe", "")),
		post("a pod", podsPath, podJSON("probe", "")),
		post("a pod for a dry run", podsPath+"?dryRun=All", podJSON("dry", "")),
		get("the pod of a dry run", podsPath+"/dry"),
		post("an unknown kind of dry run", podsPath+"?dryRun=Foo", podJSON("dry", "")),
		post("a pod without containers", podsPath+"?dryRun=All", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"inv"},"spec":{"containers":[]}}`),
		post("a namespace", "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"probe"}}`),
		post("a service account", "/api/v1/namespaces/default/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"probe"}}`),
	}
}

func updateQuestions() []question {
	const status = `"status":{"phase":"Running","podIP":"10.1.0.9","podIPs":[{"ip":"10.1.0.9"}],"containerStatuses":[{"name":"c","image":"nginx:1.27","imageID":"i","ready":true,"restartCount":3,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}},"lastState":{}}]}}`
	return []question{
		put("an update without a version", mapsPath+"/probe", mapJSON("probe", `,"labels":{"u":"1"}`)),
		put("a stale update", mapsPath+"/probe", mapJSON("probe", `,"resourceVersion":"1"`)),
		put("a version that is no number", mapsPath+"/probe", mapJSON("probe", `,"resourceVersion":"abc"`)),
		put("another name than the path's", mapsPath+"/probe", mapJSON("other", "")),
		put("another uid", mapsPath+"/probe", mapJSON("probe", `,"uid":"11111111-1111-1111-1111-111111111111"`)),
		put("an update of what is missing", mapsPath+"/nosuch", mapJSON("nosuch", "")),
		put("a lease made by an update", "/apis/coordination.k8s.io/v1/namespaces/default/leases/new", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"new"},"spec":{}}`),
		put("a lease without a version", "/apis/coordination.k8s.io/v1/namespaces/default/leases/lease", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lease"},"spec":{}}`),
		put("a status", podsPath+"/probe/status", strings.TrimSuffix(podJSON("probe", ""), "}")+","+status),
		put("labels through the status", podsPath+"/probe/status", strings.Replace(podJSON("probe", ""), `"name":"probe"`, `"name":"probe","labels":{"a":"b"}`, 1)),
		get("a scale", "/apis/apps/v1/namespaces/default/deployments/deploy/scale"),
		post("a binding", podsPath+"/probe/binding", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"probe"},"target":{"apiVersion":"v1","kind":"Node","name":"node-1"}}`),
		post("a second binding", podsPath+"/probe/binding", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"probe"},"target":{"apiVersion":"v1","kind":"Node","name":"node-1"}}`),
	}
}

func patchQuestions() []question {
	probe := mapsPath + "/probe"
	return []question{
		patch("a merge", probe, mergePatch, `{"data":{"c":"d"}}`),
		patch("a merge that changes nothing", probe, mergePatch, `{"data":{"c":"d"}}`),
		patch("a merge that removes", probe, mergePatch, `{"data":{"c":null}}`),
		patch("half of a merge", probe, mergePatch, `{"data":`),
		patch("a merge with an array", probe, mergePatch, `[]`),
		patch("a merge with an unknown field, strict", probe+"?fieldValidation=Strict", mergePatch, `{"bogus":1}`),
		patch("a merge with an unknown field", probe, mergePatch, `{"bogus":1}`),
		patch("a stale merge", probe, mergePatch, `{"metadata":{"resourceVersion":"1"},"data":{"z":"z"}}`),
		patch("a merge that renames", probe, mergePatch, `{"metadata":{"name":"other"}}`),
		patch("a merge of another kind", probe, mergePatch, `{"kind":"Secret"}`),
		patch("a merge of another type", probe, mergePatch, `{"data":"x"}`),
		patch("a JSON patch", probe, jsonPatch, `[{"op":"add","path":"/data/e","value":"f"}]`),
		patch("a JSON patch whose test fails", probe, jsonPatch, `[{"op":"test","path":"/data/e","value":"no"}]`),
		patch("a JSON patch of what is missing", probe, jsonPatch, `[{"op":"remove","path":"/data/nosuch"}]`),
		patch("a JSON patch of an unknown operation", probe, jsonPatch, `[{"op":"frob","path":"/data/e"}]`),
		patch("a JSON patch that is no array", probe, jsonPatch, `{"op":"add"}`),
		patch("a JSON patch of too many operations", probe, jsonPatch, "["+strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/data/a","value":"b"},`, 10001), ",")+"]"),
		patch("a strategic merge", podsPath+"/probe", stratePatch, `{"metadata":{"labels":{"x":"y"}}}`),
		patch("a strategic merge of a list", podsPath+"/probe", stratePatch, `{"spec":{"containers":[{"name":"c","image":"nginx:1.28"}]}}`),
		patch("a strategic merge of a status", podsPath+"/probe/status", stratePatch, `{"status":{"message":"hello"}}`),
		patch("a strategic merge that is broken", podsPath+"/probe", stratePatch, `{`),
		patch("a patch of an unknown type", probe, "Content-Type: application/json", `{}`),
		patch("a patch of what is missing", mapsPath+"/nosuch", mergePatch, `{}`),
		patch("a forced merge", probe+"?force=true", mergePatch, `{}`),
		patch("a dry run of a merge", probe+"?dryRun=All", mergePatch, `{"data":{"dry":"run"}}`),
	}
}

func listQuestions() []question {
	label := func(s string) string { return "?labelSelector=" + url.QueryEscape(s) }
	field := func(s string) string { return "?fieldSelector=" + url.QueryEscape(s) }
	return []question{
		get("a list by label", podsPath+label("app=web")),
		get("a list by sets of labels", mapsPath+label("u in (1,2),!d")),
		get("a label selector that is broken", podsPath+label("a===b")),
		get("a label selector with a bad value", podsPath+label("a=b c")),
		get("a list by node", podsPath+field("spec.nodeName=node-1")),
		get("a list by name", mapsPath+field("metadata.name=cm")),
		get("a list by what is no such field", podsPath+field("spec.bogus=1")),
		get("a list by a field of another kind", mapsPath+field("data.a=1")),
		get("a field selector that is broken", podsPath+field("spec.nodeName")),
		get("a limit that is no number", podsPath+"?limit=abc"),
		get("a list at a version that is none", podsPath+"?resourceVersion=abc"),
		get("a match without a version", podsPath+"?resourceVersionMatch=Exact"),
		get("an unknown match", podsPath+"?resourceVersion=1&resourceVersionMatch=Frob"),
		get("exactly version 0", podsPath+"?resourceVersion=0&resourceVersionMatch=Exact"),
		get("a version of the future", mapsPath+"/cm?resourceVersion=999999999"),
		get("any version with a limit", "/api/v1/nodes?resourceVersion=0&limit=1"),
		get("the first page", mapsPath+"?limit=2"),
		get("a page after garbage", mapsPath+"?continue=garbage&limit=1"),
		get("an empty list", "/api/v1/namespaces/probe/pods"),
	}
}

// tableQuestions asks for the tables of the kinds in the story and for one whose
// columns are those of any kind.
func tableQuestions() []question {
	var all []question
	for _, path := range []string{
		"/api/v1/pods", "/api/v1/namespaces", "/api/v1/namespaces/default/configmaps", "/api/v1/secrets",
		"/api/v1/services", "/api/v1/nodes", "/api/v1/serviceaccounts", "/api/v1/events", "/apis/apps/v1/deployments",
		rbacPath + "roles", rbacPath + "clusterrolebindings",
		"/apis/apps/v1/replicasets", "/apis/batch/v1/jobs", "/apis/coordination.k8s.io/v1/leases",
	} {
		all = append(all, get("a table of "+path, path, asTable))
	}
	return append(
		all,
		get("a table of one pod", podsPath+"/probe", asTable),
		get("a table without objects", podsPath+"?includeObject=None", asTable),
		get("a table with objects", mapsPath+"?includeObject=Object&limit=1", asTable),
		get("a table with an unknown part", podsPath+"?includeObject=Foo", asTable),
		get("a table of nothing", "/api/v1/namespaces/probe/pods", asTable),
		get("a table of a missing pod", podsPath+"/nosuch", asTable),
	)
}

func watchQuestions() []question {
	watch := mapsPath + "?watch=true&timeoutSeconds=1&"
	const first = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
	return []question{
		get("a watch from any version", watch+"resourceVersion=0"),
		get("a watch from now", watch),
		get("a watch that begins with a list", watch+first),
		get("a watch that begins with a list of no match", watch+"sendInitialEvents=true"),
		get("a watch from a version that is none", watch+"resourceVersion=abc"),
		get("a watch of a table", podsPath+"?watch=true&timeoutSeconds=1", asTable),
	}
}

func deleteQuestions() []question {
	options := func(fields string) string {
		return `{"apiVersion":"v1","kind":"DeleteOptions",` + fields + `}`
	}
	probe := mapsPath + "/probe"
	return []question{
		remove("a delete", mapsPath+"/fromyaml", ""),
		remove("a delete of what is missing", mapsPath+"/nosuch", ""),
		remove("a delete of another uid", probe, options(`"preconditions":{"uid":"11111111-1111-1111-1111-111111111111"}`)),
		remove("a delete of another version", probe, options(`"preconditions":{"resourceVersion":"1"}`)),
		remove("a delete with an unknown propagation", probe, options(`"propagationPolicy":"Frob"`)),
		remove("a delete with two propagations", probe, options(`"propagationPolicy":"Orphan","orphanDependents":true`)),
		remove("a delete with another kind", probe, `{"apiVersion":"v1","kind":"Pod"}`),
		remove("a dry run of a delete", probe+"?dryRun=All", ""),
		post("an object with a finalizer", mapsPath, mapJSON("fin", `,"finalizers":["example.com/f"]`)),
		remove("a delete that waits", mapsPath+"/fin", ""),
		patch("a finalizer too late", mapsPath+"/fin", mergePatch, `{"metadata":{"finalizers":["example.com/f","example.com/g"]}}`),
		patch("the last finalizer removed", mapsPath+"/fin", mergePatch, `{"metadata":{"finalizers":null}}`),
		get("what a finalizer has kept", mapsPath+"/fin"),
		remove("a delete of a pod on no node", podsPath+"/web", ""),
		remove("a delete of a pod on a node", podsPath+"/probe", ""),
		remove("a delete with less grace", podsPath+"/probe?gracePeriodSeconds=5", ""),
		remove("a delete with no grace", podsPath+"/probe", options(`"gracePeriodSeconds":0`)),
		remove("a delete of a namespace", "/api/v1/namespaces/probe", ""),
		post("an object in a namespace that ends", "/api/v1/namespaces/probe/configmaps", mapJSON("x", "")),
		remove("a delete of the default namespace", "/api/v1/namespaces/default", ""),
		put("the end of a namespace", "/api/v1/namespaces/probe/finalize", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"probe"},"spec":{"finalizers":[]}}`),
		remove("a delete of a collection by label", mapsPath+"?labelSelector=u%3D1", ""),
		remove("a delete of a collection", mapsPath, ""),
		remove("a delete of all namespaces", "/api/v1/namespaces", ""),
	}
}
