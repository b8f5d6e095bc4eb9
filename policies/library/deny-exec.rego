# METADATA
# title: No shells in containers
# description: |
#   Refuses exec, attach, port-forward, proxy and ephemeral containers to everybody outside the parameter exemptGroups, whatever RBAC
#   allows. policies.yaml narrows it to namespaces.
# custom:
#   type: authorize
#   match:
#     groups: [""]
#     resources: [pods/exec, pods/attach, pods/portforward, pods/proxy, pods/ephemeralcontainers, nodes/proxy]
#   parameters:
#     exemptGroups: ["system:masters"]
package gatehouse.policy.deny_exec

deny contains sprintf("%s/%s is not allowed here", [input.request.resource, input.request.subresource]) if not exempt

exempt if {
	some group in input.user.groups
	group in input.parameters.exemptGroups
}
