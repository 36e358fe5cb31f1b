// dcmjs-dimse as a storage SCP and SCU: `node dcmjs.cjs scp PORT FOLDER`, `node dcmjs.cjs scu PORT CALLING CALLED FILE...`
'use strict';
const fs = require('fs');
const path = require('path');
const dimse = require(process.env.DCMJS_DIMSE || 'dcmjs-dimse');
const { Client, Scp, Server } = dimse;
const { CEchoResponse, CStoreResponse } = dimse.responses;
const { CStoreRequest } = dimse.requests;
const { PresentationContextResult, SopClass, Status, StorageClass, TransferSyntax } = dimse.constants;

const classes = new Set([SopClass.Verification, ...Object.values(StorageClass)]);
const native = [TransferSyntax.ImplicitVRLittleEndian, TransferSyntax.ExplicitVRLittleEndian];

function scp(port, folder) {
  class Keeper extends Scp {
    associationRequested(association) {
      for (const { id } of association.getPresentationContexts()) {
        const context = association.getPresentationContext(id);
        const taken = context.getTransferSyntaxUids().find((uid) => native.includes(uid));
        if (!classes.has(context.getAbstractSyntaxUid())) {
          context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
        } else if (taken) {
          context.setResult(PresentationContextResult.Accept, taken);
        } else {
          context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
        }
      }
      this.sendAssociationAccept();
    }
    cEchoRequest(request, answer) {
      const response = CEchoResponse.fromRequest(request);
      response.setStatus(Status.Success);
      answer(response);
    }
    cStoreRequest(request, answer) {
      request.getDataset().toFile(path.join(folder, request.getAffectedSopInstanceUid()));
      const response = CStoreResponse.fromRequest(request);
      response.setStatus(Status.Success);
      answer(response);
    }
    associationReleaseRequested() {
      this.sendAssociationReleaseResponse();
    }
  }
  const server = new Server(Keeper);
  server.on('networkError', (error) => console.error(String(error)));
  server.listen(Number(port));
}

function scu(port, calling, called, files) {
  const client = new Client();
  for (const file of files) {
    const request = new CStoreRequest(file);
    request.on('response', (response) => console.log(file, response.getStatus().toString(16)));
    client.addRequest(request);
  }
  client.on('networkError', (error) => {
    console.error(String(error));
    process.exitCode = 1;
  });
  client.send('127.0.0.1', Number(port), calling, called);
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'scp') {
  scp(...rest);
} else {
  scu(rest[0], rest[1], rest[2], rest.slice(3));
}
