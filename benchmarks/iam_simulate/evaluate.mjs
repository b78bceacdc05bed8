// Answers requests for faaskit's comparison: one JSON object a line in, one a line out.
//
// The public runSimulation knows the context keys of each action of AWS's and drops others, and
// runUnsafeSimulation has no session policies. The core that both call has neither limit.

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)
const root = dirname(require.resolve('@cloud-copilot/iam-simulate'))
const { authorize } = require(join(root, 'core_engine/CoreSimulatorEngine.js'))
const { AwsRequestImpl } = require(join(root, 'request/request.js'))
const { RequestContextImpl } = require(join(root, 'requestContext.js'))
const { DiscoveryContextKeyConstraints } = require(
  join(root, 'context_keys/discoveryContextKeyConstraints.js')
)
const { loadPolicy, validateIdentityPolicy, validateResourcePolicy } = require(
  '@cloud-copilot/iam-policy'
)

const simulationParameters = {
  simulationMode: 'Strict',
  discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([])
}

function load(policy, name, validate) {
  const errors = validate(policy)
  if (errors.length > 0) {
    throw new Error(`refused: ${errors[0].path}: ${errors[0].message}`)
  }
  return loadPolicy(policy, { name })
}

function answer(asked) {
  const { principal, action, resource, account, context } = asked
  const request = new AwsRequestImpl(
    principal,
    { resource, accountId: account },
    action,
    new RequestContextImpl(context),
    resource === '*'
  )
  const own = (policy, at) => load(policy, `p${at}`, validateIdentityPolicy)
  return authorize({
    request,
    sessionPolicy: asked.session ? own(asked.session, 0) : undefined,
    identityPolicies: asked.identity.map(own),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: asked.resource_policy
      ? load(asked.resource_policy, 'r', validateResourcePolicy)
      : undefined,
    permissionBoundaries: asked.boundary ? [own(asked.boundary, 0)] : undefined,
    vpcEndpointPolicies: undefined,
    simulationParameters,
    serviceSettings: { s3: {} }
  }).result
}

for await (const line of createInterface({ input: process.stdin })) {
  let said
  try {
    said = { result: answer(JSON.parse(line)) }
  } catch (error) {
    said = { error: error.message }
  }
  process.stdout.write(JSON.stringify(said) + '\n')
}
